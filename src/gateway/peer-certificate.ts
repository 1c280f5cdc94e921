import { createHash, type X509Certificate } from "node:crypto";

/** A certificate that somebody has shown, in Envoy's forms. */
export interface PeerCertificate {
  /** Of RFC 2253: the most specific part first. */
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  /** SHA-256 of the certificate and of its public key. */
  readonly hash: string;
  readonly spkiHash: string;
  readonly alternatives: readonly AlternativeName[];
  /** Percent-encoded PEM, of the certificate alone and with those that vouch for it. */
  readonly pem: string;
  readonly chainPem: string;
}

export interface AlternativeName {
  readonly type: "DNS" | "URI" | "IP Address" | "email" | "other";
  readonly value: string;
}

/** Puts a certificate into Envoy's forms. */
export function readCertificate(certificate: X509Certificate): PeerCertificate {
  const { subject, issuer, serialNumber, fingerprint256, publicKey } = certificate;
  const spki = publicKey.export({ type: "spki", format: "der" });
  return {
    subject: distinguishedName(subject),
    issuer: distinguishedName(issuer),
    serialNumber: serialNumber.toLowerCase(),
    hash: fingerprint256.replaceAll(":", "").toLowerCase(),
    spkiHash: createHash("sha256").update(spki).digest("base64"),
    alternatives: readAlternatives(certificate.subjectAltName ?? ""),
    pem: encodePem(certificate.toString()),
    chainPem: encodePem(chainOf(certificate)),
  };
}

/** The names of one kind. */
export function namesOf({ alternatives }: PeerCertificate, type: AlternativeName["type"]): string[] {
  return alternatives.flatMap((each) => (each.type === type ? [each.value] : []));
}

function distinguishedName(lines: string): string {
  return lines.split("\n").reverse().join(",");
}

const maxChain = 10;

function chainOf(certificate: X509Certificate): string {
  let text = "";
  let next: X509Certificate | undefined = certificate;
  for (let i = 0; next && i < maxChain; i++) {
    text += next.toString();
    next = next.issuerCertificate;
  }
  return text;
}

const encoded: Readonly<Record<string, string>> = {
  "\n": "%0A",
  " ": "%20",
  "+": "%2B",
  "/": "%2F",
  "=": "%3D",
};

function encodePem(pem: string): string {
  return pem.replace(/[\n +/=]/g, (character) => encoded[character]!);
}

const types: ReadonlySet<string> = new Set(["DNS", "URI", "IP Address", "email"]);

/** Node quotes values that could be taken for several. */
function readAlternatives(text: string): AlternativeName[] {
  const names: AlternativeName[] = [];
  for (const [, type = "", value = ""] of text.matchAll(/([^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    const plain: string = value.startsWith('"') ? JSON.parse(value) : value;
    names.push({ type: types.has(type) ? (type as AlternativeName["type"]) : "other", value: plain });
  }
  return names;
}
