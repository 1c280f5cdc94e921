import type { ServicePort } from "../resource/types.ts";

const protocols = new Map([
  ["grpc", "GRPC"],
  ["http", "HTTP"],
  ["http2", "HTTP2"],
  ["https", "HTTPS"],
  ["tcp", "TCP"],
  ["tls", "TLS"],
]);

/** The names that Kubernetes itself defines for `appProtocol`. */
const kubernetesProtocols = new Map([
  ["kubernetes.io/h2c", "HTTP2"],
  ["kubernetes.io/ws", "HTTP"],
  ["kubernetes.io/wss", "HTTPS"],
]);

/**
 * The protocol of a Service port by Istio's rules: `appProtocol` if there is one, else the port's name, of which the part
 * before the first `-` counts.
 *
 * Unlike Istio: a port that says nothing is HTTP. Istio makes it one whose protocol a sidecar finds out from the bytes;
 * behind a gateway there is nothing to find out, because what an Ingress routes are HTTP requests.
 */
export function protocolOf({ appProtocol, name = "" }: ServicePort): string {
  const standard = kubernetesProtocols.get(appProtocol ?? "");
  if (standard !== undefined) return standard;
  const text = (appProtocol ?? name).toLowerCase();
  if (text.startsWith("grpc-web")) return "GRPC-WEB";
  return protocols.get(text.split("-", 1)[0]!) ?? "HTTP";
}
