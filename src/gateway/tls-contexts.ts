import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { DownstreamTls, TlsCertificate, TlsSecret, TlsValidation } from "./gateway-config.ts";

export type Secrets = ReadonlyMap<string, TlsSecret>;

/** What a filter chain shows clients, and what it was made of. */
export interface ChainContext {
  readonly context: SecureContext;
  readonly options: SecureContextOptions;
  /** Whom clients are checked by, with what came by SDS. */
  readonly validation: TlsValidation | undefined;
}

/** Undefined while the chain's certificate is not there. */
function chainContext(tls: DownstreamTls, secrets: Secrets): ChainContext | undefined {
  const named = tls.certificateNames.flatMap((name) => secrets.get(name) ?? []);
  const certificates = [...tls.certificates, ...named].filter(
    (secret): secret is TlsCertificate => secret.kind === "certificate",
  );
  if (certificates.length === 0) return undefined;
  const options = contextOptions(tls, certificates, secrets);
  return { options, context: createSecureContext(options), validation: validationOf(tls, secrets) };
}

function contextOptions(
  tls: DownstreamTls,
  certificates: readonly TlsCertificate[],
  secrets: Secrets,
): SecureContextOptions {
  const ca = trustedCa(tls, secrets);
  const passphrase = certificates.find(({ password }) => password)?.password;
  return {
    cert: certificates.map(({ chain }) => Buffer.from(chain)),
    key: certificates.map(({ privateKey }) => Buffer.from(privateKey)),
    minVersion: tls.minVersion ?? "TLSv1.2",
    ...(passphrase && { passphrase: Buffer.from(passphrase).toString() }),
    ...(tls.maxVersion && { maxVersion: tls.maxVersion }),
    ...(tls.cipherSuites.length > 0 && { ciphers: tls.cipherSuites.join(":") }),
    ...(ca && { ca: Buffer.from(ca) }),
  };
}

function validationOf({ validation }: DownstreamTls, secrets: Secrets): TlsValidation | undefined {
  if (validation?.secretName === undefined) return validation;
  const named = secrets.get(validation.secretName);
  if (named?.kind !== "validation") return validation;
  const all = <T>(own: readonly T[], more: readonly T[]) => [...own, ...more];
  return {
    ...validation,
    trustedCa: validation.trustedCa ?? named.trustedCa,
    alternativeNames: all(validation.alternativeNames, named.alternativeNames),
    hashes: all(validation.hashes, named.hashes),
    spkiHashes: all(validation.spkiHashes, named.spkiHashes),
  };
}

export function trustedCa(
  { validation }: Pick<DownstreamTls, "validation">,
  secrets: Secrets,
): Uint8Array | undefined {
  const named = validation?.secretName === undefined ? undefined : secrets.get(validation.secretName);
  return validation?.trustedCa ?? (named?.kind === "validation" ? named.trustedCa : undefined);
}

/** The chain for the name that a client asks for, as Envoy looks: the name, its suffixes from the longest, any. */
export function matchServerName<T>(
  entries: readonly T[],
  namesOf: (entry: T) => readonly string[],
  serverName: string,
): T | undefined {
  const name = serverName.toLowerCase();
  const find = (wanted: string) => entries.find((entry) => namesOf(entry).includes(wanted));
  const exact = name === "" ? undefined : find(name);
  if (exact) return exact;
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    const found = find(`*${name.slice(dot)}`);
    if (found) return found;
  }
  return entries.find((entry) => namesOf(entry).length === 0);
}

/** Contexts by what they are made of: a certificate that did not change is not read again. */
export function createContextCache() {
  const known = new WeakMap<
    DownstreamTls,
    { readonly secrets: readonly unknown[]; readonly context: ChainContext | undefined }
  >();
  return {
    /** @throws what OpenSSL says of a broken certificate */
    find(tls: DownstreamTls, secrets: Secrets): ChainContext | undefined {
      const names = [...tls.certificateNames, tls.validation?.secretName ?? ""];
      const used = names.map((name) => secrets.get(name));
      const entry = known.get(tls);
      if (entry?.secrets.every((secret, i) => secret === used[i])) return entry.context;
      const context = chainContext(tls, secrets);
      known.set(tls, { secrets: used, context });
      return context;
    },
  };
}
