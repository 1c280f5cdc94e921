import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import { HeaderMap, joinRepeated } from "../proxy-wasm/header-map.ts";
import { certificateHeader, forwardCertificate } from "./client-certificate.ts";
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

/** What Envoy takes from no client at the edge. */
const edgeOnly: ReadonlySet<string> = new Set([
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-original-host",
  "x-envoy-original-path",
]);

/** What Envoy takes from clients that it knows as its own only. */
const internal: ReadonlySet<string> = new Set([
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-ip-tags",
  "x-envoy-max-retries",
  "x-envoy-original-url",
  "x-envoy-retriable-header-names",
  "x-envoy-retriable-status-codes",
  "x-envoy-retry-grpc-on",
  "x-envoy-retry-on",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-rq-timeout-ms",
]);

const externalAddress = "x-envoy-external-address";

export interface ReceivedRequest {
  /** Pseudo-headers and the rest as they came, names lower-case. */
  readonly lines: HeaderLine[];
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
  let hasCertificate = false;
  let hasExternal = false;
  const { useRemoteAddress, internalAddresses } = http;
  const isInternal = internalAddresses !== undefined && isInternalRequest(lines, connection, http);
  const atEdge = useRemoteAddress && !isInternal;
  for (const line of joinRepeated(lines)) {
    const [name, value] = line;
    if (name === "x-forwarded-for") {
      forwardedFor = value;
      kept.push(line);
    } else if (name === "x-forwarded-proto") {
      proto = value;
      kept.push(line);
    } else if (name === "x-request-id") {
      requestId = value;
      kept.push(line);
    } else if (name === "te") keepTrailers(kept, value);
    else if (hopByHop.has(name)) {
      if (isUpgrade && (name === "upgrade" || name === "connection")) kept.push(line);
    } else if ((isInternal || !internal.has(name)) && !(atEdge && edgeOnly.has(name))) {
      if (name === ":scheme") hasScheme = true;
      else if (name === certificateHeader) hasCertificate = true;
      else if (name === externalAddress) hasExternal = true;
      kept.push(line);
    }
  }
  const own = connection.tls ? "https" : "http";
  const knownProto = proto;
  if (proto === undefined || (useRemoteAddress && http.xffTrustedHops === 0)) proto = own;
  if (!hasScheme) insertScheme(kept, proto === "https" || proto === "http" ? proto : own);
  const appended = appendedForwardedFor(forwardedFor, connection, http);
  if (appended !== undefined) setLine(kept, "x-forwarded-for", appended, forwardedFor !== undefined);
  setLine(kept, "x-forwarded-proto", proto, knownProto !== undefined);
  if (http.via !== "") appendVia(kept, http.via);
  if (isInternal) kept.push(["x-envoy-internal", "true"]);
  if (atEdge) setLine(kept, externalAddress, connection.remoteAddress, hasExternal);
  const mustMake = http.generateRequestId && (requestId === undefined || (atEdge && !http.preserveRequestId));
  if (mustMake) setLine(kept, "x-request-id", randomUUID(), requestId !== undefined);
  const mayForward = connection.tls !== undefined || hasCertificate;
  return new HeaderMap(mayForward ? forwardCertificate(kept, connection, http) : kept);
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

function appendedForwardedFor(
  forwardedFor: string | undefined,
  { directAddress }: DownstreamConnection,
  { useRemoteAddress, skipXffAppend }: HttpConnection,
): string | undefined {
  if (!useRemoteAddress || skipXffAppend) return undefined;
  // As Envoy: a client on this machine is known by the machine's address.
  const peer = isLoopback(directAddress) ? machineAddress : directAddress;
  return forwardedFor === undefined ? peer : `${forwardedFor},${peer}`;
}

/** As Envoy: who has come through another proxy is not asked. */
function isInternalRequest(
  lines: readonly HeaderLine[],
  { remoteAddress }: DownstreamConnection,
  { internalAddresses, useRemoteAddress }: HttpConnection,
): boolean {
  const family = isIP(remoteAddress);
  if (family === 0 || !internalAddresses) return false;
  const said = lines.flatMap(([name, value]) => (name === "x-forwarded-for" ? value.split(",") : []));
  if (said.length !== (useRemoteAddress ? 0 : 1)) return false;
  return internalAddresses.check(remoteAddress, family === 6 ? "ipv6" : "ipv4");
}

/** The first IPv4 address of this machine that others may know. */
const machineAddress =
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal: isInternal }) => family === "IPv4" && !isInternal)?.address ?? "127.0.0.1";

/** A connection as a stream sees it: with the address of the client that proxies in front of us have said. */
export function withTrustedAddress(
  connection: DownstreamConnection,
  lines: readonly HeaderLine[],
  { useRemoteAddress, xffTrustedHops: hops }: HttpConnection,
): DownstreamConnection {
  if (useRemoteAddress && hops === 0) return connection;
  const said = lines.flatMap(([name, value]) => (name === "x-forwarded-for" ? value.split(",") : []));
  const remoteAddress = said.at(useRemoteAddress ? -hops : -hops - 1)?.trim() ?? "";
  return isIP(remoteAddress) === 0 ? connection : { ...connection, remoteAddress, remotePort: 0 };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
