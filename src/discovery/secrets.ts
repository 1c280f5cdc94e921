import { create } from "@bufbuild/protobuf";
import { SecretSchema as TlsSecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { encodeResource, type SnapshotResource } from "../xds/snapshot.ts";
import { mayHaveSecret, type ProxyNode } from "./proxy.ts";
import { credentialName, type PortServers } from "./servers.ts";

/**
 * The certificates that a proxy's HTTPS servers name. One that is missing, or that the proxy may not have, is left out:
 * Envoy refuses its connections.
 */
export function buildSecrets(
  ports: readonly PortServers[],
  secrets: readonly IstioConfig<"Secret">[],
  proxy: ProxyNode,
): SnapshotResource[] {
  const allowed = secrets.filter(({ namespace }) => mayHaveSecret(proxy, namespace));
  const byName = new Map(allowed.map((secret) => [`${secret.namespace}/${secret.name}`, secret]));
  const names = new Set(ports.filter(({ tls }) => tls).flatMap(({ servers }) => servers.map(credentialName)));
  return [...names].sort().flatMap((name) => {
    const secret = byName.get(secretOf(name));
    return secret ? encodeResource(name, TlsSecretSchema, certificate(name, secret)) : [];
  });
}

/** `kubernetes-ingress://cluster/ns/name` and `kubernetes://ns/name` name the Secret ns/name. */
function secretOf(credential: string): string {
  return credential.split("/").slice(-2).join("/");
}

function certificate(name: string, { spec }: IstioConfig<"Secret">) {
  const bytes = (key: string) =>
    ({ specifier: { case: "inlineBytes", value: spec.data[key] ?? new Uint8Array() } }) as const;
  return create(TlsSecretSchema, {
    name,
    type: {
      case: "tlsCertificate",
      value: { certificateChain: bytes("tls.crt"), privateKey: bytes("tls.key") },
    },
  });
}
