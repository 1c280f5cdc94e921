import { randomUUID } from "node:crypto";
import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";

/** Belong to a connection and not to what goes over it. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "x-envoy-internal",
]);

/** What Envoy takes from its own kind only, and from no client at the edge. */
const internal: ReadonlySet<string> = new Set([
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-external-address",
  "x-envoy-force-trace",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-ip-tags",
  "x-envoy-is-timeout-retry",
  "x-envoy-max-retries",
  "x-envoy-original-path",
  "x-envoy-original-host",
  "x-envoy-retriable-header-names",
  "x-envoy-retriable-status-codes",
  "x-envoy-retry-grpc-on",
  "x-envoy-retry-on",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-rq-timeout-ms",
]);

export interface ReceivedRequest {
  /** Pseudo-headers and the rest as they came, names lower-case. */
  readonly lines: readonly HeaderLine[];
  readonly isUpgrade: boolean;
  readonly connection: DownstreamConnection;
}

/**
 * The headers that filters see: what belongs to the client's connection is taken away, and what the gateway knows of it is
 * added, as Envoy's connection manager does.
 */
export function acceptHeaders(
  { lines, isUpgrade, connection }: ReceivedRequest,
  http: HttpConnection,
): HeaderMap {
  const kept: HeaderLine[] = [];
  let forwardedFor: string | undefined;
  let proto: string | undefined;
  let requestId: string | undefined;
  let hasScheme = false;
  const atEdge = http.useRemoteAddress;
  for (const line of lines) {
    const [name, value] = line;
    if (name === "x-forwarded-for")
      forwardedFor = forwardedFor === undefined ? value : `${forwardedFor},${value}`;
    else if (name === "x-forwarded-proto") proto ??= value;
    else if (name === "x-request-id") requestId ??= value;
    else if (name === "te") keepTrailers(kept, value);
    else if (hopByHop.has(name)) {
      if (isUpgrade && (name === "upgrade" || name === "connection")) kept.push(line);
    } else if (!(atEdge && internal.has(name))) {
      if (name === ":scheme") hasScheme = true;
      kept.push(line);
    }
  }
  const own = connection.tls ? "https" : "http";
  if (proto === undefined || (atEdge && http.xffTrustedHops === 0)) proto = own;
  if (!hasScheme) insertScheme(kept, proto === "https" || proto === "http" ? proto : own);
  addAddresses(kept, forwardedFor, connection, http);
  kept.push(["x-forwarded-proto", proto]);
  const mustMake = http.generateRequestId && (requestId === undefined || (atEdge && !http.preserveRequestId));
  if (mustMake) requestId = randomUUID();
  if (requestId !== undefined) kept.push(["x-request-id", requestId]);
  return new HeaderMap(kept);
}

function keepTrailers(kept: HeaderLine[], value: string): void {
  if (/(^|,)\s*trailers\s*(,|;|$)/i.test(value)) kept.push(["te", "trailers"]);
}

function insertScheme(lines: HeaderLine[], scheme: string): void {
  let at = 0;
  while (at < lines.length && lines[at]![0].startsWith(":")) at++;
  lines.splice(at, 0, [":scheme", scheme]);
}

function addAddresses(
  lines: HeaderLine[],
  forwardedFor: string | undefined,
  { remoteAddress, localAddress }: DownstreamConnection,
  { useRemoteAddress, skipXffAppend, xffTrustedHops }: HttpConnection,
): void {
  if (!useRemoteAddress) {
    if (forwardedFor !== undefined) lines.push(["x-forwarded-for", forwardedFor]);
    return;
  }
  // As Envoy: a client on this machine is known by the address that it came to.
  const peer = isLoopback(remoteAddress) ? localAddress : remoteAddress;
  const all = forwardedFor === undefined ? peer : `${forwardedFor},${peer}`;
  if (!skipXffAppend) lines.push(["x-forwarded-for", all]);
  else if (forwardedFor !== undefined) lines.push(["x-forwarded-for", forwardedFor]);
  lines.push(["x-envoy-external-address", trustedAddress(forwardedFor, remoteAddress, xffTrustedHops)]);
}

/** The address of the client, as far as proxies in front of us can be trusted. */
export function trustedAddress(forwardedFor: string | undefined, remote: string, hops: number): string {
  if (hops === 0 || forwardedFor === undefined) return remote;
  return forwardedFor.split(",").at(-hops)?.trim() || remote;
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
