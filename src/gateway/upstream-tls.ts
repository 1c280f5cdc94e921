import { isIP } from "node:net";
import { type ConnectionOptions, createSecureContext, type SecureContext } from "node:tls";
import type { Cluster, UpstreamTls } from "./cluster-config.ts";
import type { TlsCertificate } from "./gateway-config.ts";
import { type Secrets, trustedCa } from "./tls-contexts.ts";

/**
 * How connections to clusters are secured. What certificates are made into is kept until they change. As in Envoy nobody is
 * checked where the cluster does not say by whom.
 */
export function createUpstreamTls() {
  const contexts = new WeakMap<
    UpstreamTls,
    { readonly secrets: readonly unknown[]; readonly context: SecureContext }
  >();
  const contextOf = (tls: UpstreamTls, secrets: Secrets): SecureContext => {
    const used = [...tls.certificateNames, tls.validation?.secretName ?? ""].map((name) => secrets.get(name));
    const known = contexts.get(tls);
    if (known?.secrets.every((secret, i) => secret === used[i])) return known.context;
    const context = makeContext(tls, secrets);
    contexts.set(tls, { secrets: used, context });
    return context;
  };
  /** `protocols`: what is offered where the cluster names none; `serverName`: in place of the cluster's. */
  return (
    { tls }: Cluster,
    secrets: Secrets,
    protocols: readonly string[],
    serverName: string | undefined,
  ): ConnectionOptions | undefined => {
    if (!tls) return undefined;
    const name = serverName ?? tls.sni;
    const wanted = tls.validation?.subjectAltNames ?? [];
    return {
      secureContext: contextOf(tls, secrets),
      ...(name !== "" && !isIP(name) && { servername: name }),
      ALPNProtocols: [...(tls.alpn.length > 0 ? tls.alpn : protocols)],
      rejectUnauthorized: tls.validation !== undefined,
      checkServerIdentity: (_, { subjectaltname = "" }) => checkNames(subjectaltname, wanted),
    };
  };
}

function makeContext(tls: UpstreamTls, secrets: Secrets): SecureContext {
  const named = tls.certificateNames.flatMap((name) => secrets.get(name) ?? []);
  const certificates = [...tls.certificates, ...named].filter(
    (secret): secret is TlsCertificate => secret.kind === "certificate",
  );
  const passphrase = certificates.find(({ password }) => password)?.password;
  return createSecureContext({
    minVersion: tls.minVersion ?? "TLSv1.2",
    ...(tls.maxVersion && { maxVersion: tls.maxVersion }),
    ...(certificates.length > 0 && {
      cert: certificates.map(({ chain }) => Buffer.from(chain)),
      key: certificates.map(({ privateKey }) => Buffer.from(privateKey)),
    }),
    ...(passphrase && { passphrase: Buffer.from(passphrase).toString() }),
    // Whoever is to be checked and has no authority yet is trusted by none.
    ...(tls.validation && { ca: Buffer.from(trustedCa(tls, secrets) ?? "") }),
  });
}

/** The certificate has one of the names; `*.` in it stands for one label. */
function checkNames(found: string, wanted: readonly string[]): Error | undefined {
  const names = found.split(", ").map((each) => each.slice(each.indexOf(":") + 1));
  const isOne = (name: string) =>
    names.includes(name) || names.includes(`*.${name.slice(name.indexOf(".") + 1)}`);
  if (wanted.length === 0 || wanted.some(isOne)) return undefined;
  return new Error(`the certificate is for ${found}, and not for ${wanted.join(", ")}`);
}
