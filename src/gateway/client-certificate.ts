import type { TLSSocket } from "node:tls";
import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { DownstreamTls, HttpConnection, TlsValidation } from "./gateway-config.ts";
import { namesOf, type PeerCertificate } from "./peer-certificate.ts";

/**
 * Whether a client may go on by what its filter chain asks of certificates. `validation` has what came by SDS, too;
 * `authorized` says whether an authority vouches for what the client has shown.
 */
export function isAcceptedClient(
  tls: DownstreamTls,
  validation: TlsValidation | undefined,
  certificate: PeerCertificate | undefined,
  { authorized }: Pick<TLSSocket, "authorized">,
): boolean {
  if (!certificate) return !tls.requireClientCertificate && !asksForName(validation);
  if (!validation) return true;
  if (validation.trustedCa && !authorized) return false;
  return isPinned(validation, certificate) && isNamed(validation, certificate);
}

/** As Envoy: nobody passes without one where it is compared with something. */
function asksForName(validation: TlsValidation | undefined): boolean {
  if (!validation) return false;
  const { alternativeNames, hashes, spkiHashes } = validation;
  return alternativeNames.length + hashes.length + spkiHashes.length > 0;
}

function isPinned({ hashes, spkiHashes }: TlsValidation, { hash, spkiHash }: PeerCertificate): boolean {
  if (hashes.length + spkiHashes.length === 0) return true;
  return hashes.includes(hash) || spkiHashes.includes(spkiHash);
}

function isNamed({ alternativeNames }: TlsValidation, { alternatives }: PeerCertificate): boolean {
  if (alternativeNames.length === 0) return true;
  return alternatives.some((name) =>
    alternativeNames.some(({ type, matches }) => (!type || type === name.type) && matches(name.value)),
  );
}

export const certificateHeader = "x-forwarded-client-cert";

/** What is told upstream of the client's certificate, as Envoy's `forward_client_cert_details` has it. */
export function forwardCertificate(
  lines: HeaderLine[],
  { tls }: DownstreamConnection,
  http: HttpConnection,
): HeaderLine[] {
  const mode = http.forwardClientCertificate;
  if (mode === "always") return lines;
  const certificate = tls?.certificate();
  if (mode === "sanitize" || !tls || !certificate)
    return lines.filter(([name]) => name !== certificateHeader);
  if (mode === "forward-only") return lines;
  const own = describeCertificate(certificate, tls.localUris, http);
  const before = lines.find(([name]) => name === certificateHeader)?.[1];
  const value = mode === "append" && before !== undefined ? `${before},${own}` : own;
  const line: HeaderLine = [certificateHeader, value];
  if (before === undefined) return [...lines, line];
  return lines.map((each) => (each[0] === certificateHeader ? line : each));
}

function describeCertificate(
  certificate: PeerCertificate,
  localUris: readonly string[],
  { clientCertificateDetails: details }: HttpConnection,
): string {
  const parts = localUris.map((uri) => `By=${uri}`);
  parts.push(`Hash=${certificate.hash}`);
  if (details.cert) parts.push(`Cert="${certificate.pem}"`);
  if (details.chain) parts.push(`Chain="${certificate.chainPem}"`);
  if (details.subject) parts.push(`Subject="${certificate.subject}"`);
  if (details.uri) parts.push(...orEmpty(namesOf(certificate, "URI")).map((uri) => `URI=${uri}`));
  if (details.dns) parts.push(...namesOf(certificate, "DNS").map((name) => `DNS=${name}`));
  return parts.join(";");
}

/** As Envoy: that there is none is said, too. */
function orEmpty(names: readonly string[]): readonly string[] {
  return names.length === 0 ? [""] : names;
}
