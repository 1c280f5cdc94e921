import { randomUUID } from "node:crypto";
import { networkInterfaces } from "node:os";
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

/** What no client at the edge may say. */
const atEdgeOnly: ReadonlySet<string> = new Set([
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-original-host",
  "x-envoy-original-path",
]);

/** What Envoy takes from its own kind only, and nobody is of it who is not said to be. */
const internal: ReadonlySet<string> = new Set([
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-ip-tags",
  "x-envoy-max-retries",
  "x-envoy-original-url",
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
  let hasExternal = false;
  const atEdge = http.useRemoteAddress;
  for (const line of lines) {
    const [name, value] = line;
    if (name === "x-forwarded-for") {
      if (forwardedFor === undefined) kept.push(line);
      forwardedFor = forwardedFor === undefined ? value : `${forwardedFor},${value}`;
    } else if (name === "x-forwarded-proto") {
      if (proto === undefined) kept.push(line);
      proto ??= value;
    } else if (name === "x-request-id") {
      if (requestId === undefined) kept.push(line);
      requestId ??= value;
    } else if (name === "te") keepTrailers(kept, value);
    else if (hopByHop.has(name)) {
      if (isUpgrade && (name === "upgrade" || name === "connection")) kept.push(line);
    } else if (!internal.has(name) && !(atEdge && atEdgeOnly.has(name))) {
      if (name === ":scheme") hasScheme = true;
      else if (name === "x-envoy-external-address") hasExternal = true;
      kept.push(line);
    }
  }
  const own = connection.tls ? "https" : "http";
  const knownProto = proto;
  if (proto === undefined || (atEdge && http.xffTrustedHops === 0)) proto = own;
  if (!hasScheme) insertScheme(kept, proto === "https" || proto === "http" ? proto : own);
  const addresses = forwardedLines(forwardedFor, connection, http);
  if (addresses.forwardedFor !== undefined)
    setLine(kept, "x-forwarded-for", addresses.forwardedFor, forwardedFor !== undefined);
  setLine(kept, "x-forwarded-proto", proto, knownProto !== undefined);
  if (http.via !== "") appendVia(kept, http.via);
  if (addresses.external !== undefined)
    setLine(kept, "x-envoy-external-address", addresses.external, hasExternal);
  const mustMake = http.generateRequestId && (requestId === undefined || (atEdge && !http.preserveRequestId));
  if (mustMake) setLine(kept, "x-request-id", randomUUID(), requestId !== undefined);
  return new HeaderMap(kept);
}

/** Adds a proxy to those that a message has passed. */
export function appendVia(lines: HeaderLine[], via: string): void {
  const at = lines.findIndex(([name]) => name === "via");
  if (at < 0) lines.push(["via", via]);
  else lines[at] = ["via", `${lines[at]![1]}, ${via}`];
}

/** In its place, if it is there. */
function setLine(lines: HeaderLine[], name: string, value: string, isThere: boolean): void {
  const at = isThere ? lines.findIndex((line) => line[0] === name) : lines.length;
  lines[at] = [name, value];
}

function keepTrailers(kept: HeaderLine[], value: string): void {
  if (/(^|,)\s*trailers\s*(,|;|$)/i.test(value)) kept.push(["te", "trailers"]);
}

function insertScheme(lines: HeaderLine[], scheme: string): void {
  let at = 0;
  while (at < lines.length && lines[at]![0].startsWith(":")) at++;
  lines.splice(at, 0, [":scheme", scheme]);
}

interface Addresses {
  readonly forwardedFor: string | undefined;
  readonly external: string | undefined;
}

function forwardedLines(
  forwardedFor: string | undefined,
  { remoteAddress }: DownstreamConnection,
  { useRemoteAddress, skipXffAppend, xffTrustedHops }: HttpConnection,
): Addresses {
  if (!useRemoteAddress) return { forwardedFor, external: undefined };
  const external = trustedAddress(forwardedFor, remoteAddress, xffTrustedHops);
  if (skipXffAppend) return { forwardedFor, external };
  // As Envoy: a client on this machine is known by the machine's address.
  const peer = isLoopback(remoteAddress) ? machineAddress : remoteAddress;
  return { forwardedFor: forwardedFor === undefined ? peer : `${forwardedFor},${peer}`, external };
}

/** The first IPv4 address of this machine that others may know. */
const machineAddress =
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal: isInternal }) => family === "IPv4" && !isInternal)?.address ?? "127.0.0.1";

/** The address of the client, as far as proxies in front of us can be trusted. */
export function trustedAddress(forwardedFor: string | undefined, remote: string, hops: number): string {
  if (hops === 0 || forwardedFor === undefined) return remote;
  return forwardedFor.split(",").at(-hops)?.trim() || remote;
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
