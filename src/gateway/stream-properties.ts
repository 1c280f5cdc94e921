import type { PropertyValue } from "../proxy-wasm/index.ts";
import { dottedName } from "../proxy-wasm/property-names.ts";
import type { HttpStream } from "./http-stream.ts";

type Reader = (stream: HttpStream) => PropertyValue | undefined;

/** Of a listener whose configuration does not say. */
const unspecifiedDirection = 0n;

/** Envoy's attributes that no header has. */
const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["source.address", ({ downstream: { connection: c } }) => join(c.remoteAddress, c.remotePort)],
  ["source.port", ({ downstream }) => integer(downstream.connection.remotePort)],
  ["destination.address", ({ downstream: { connection: c } }) => join(c.localAddress, c.localPort)],
  ["destination.port", ({ downstream }) => integer(downstream.connection.localPort)],
  ["connection.id", ({ downstream }) => ({ uint: BigInt(downstream.connection.id) })],
  ["connection.mtls", ({ downstream }) => downstream.connection.tls?.isMutual ?? false],
  ["connection.requested_server_name", ({ downstream }) => downstream.connection.tls?.serverName],
  ["connection.tls_version", ({ downstream }) => downstream.connection.tls?.version],
  ["request.protocol", ({ downstream }) => downstream.protocol],
  ["request.time", ({ startedAt }) => ({ timestampNs: BigInt(startedAt) * 1_000_000n })],
  ["request.duration", ({ endMs }) => durationOf(endMs)],
  ["response.flags", ({ flags }) => integer(flags.reduce((all, flag) => all | (flagBits[flag] ?? 0), 0))],
  ["response.backend_latency", backendLatency],
  ["upstream.address", ({ forwarding }) => forwarding?.connection?.remoteAddress],
  ["upstream.port", ({ forwarding }) => forwarding?.endpoint && integer(forwarding.endpoint.port)],
  ["upstream.local_address", ({ forwarding }) => forwarding?.connection?.localAddress],
  ["upstream.request_attempt_count", ({ forwarding }) => forwarding && { uint: BigInt(forwarding.attempts) }],
  ["xds.cluster_name", (stream) => stream.route()?.cluster || undefined],
  ["xds.route_name", (stream) => stream.route()?.route?.name],
  ["xds.virtual_host_name", (stream) => stream.route()?.virtualHost.name],
  ["xds.listener_direction", () => ({ int: unspecifiedDirection })],
  ["xds.filter_chain_name", ({ plan }) => plan.names.filterChain],
]);

/** Bits of Envoy's response flags. */
const flagBits: Readonly<Record<string, number>> = {
  LH: 0x1,
  UH: 0x2,
  UT: 0x4,
  LR: 0x8,
  UR: 0x10,
  UF: 0x20,
  UC: 0x40,
  UO: 0x80,
  NR: 0x100,
  DI: 0x200,
  FI: 0x400,
  RL: 0x800,
  UAEX: 0x1000,
  RLSE: 0x2000,
  DC: 0x4000,
  URX: 0x8000,
  SI: 0x10000,
  IH: 0x20000,
  DPE: 0x40000,
  UMSDR: 0x80000,
  DT: 0x400000,
  UPE: 0x800000,
  NC: 0x1000000,
};

/** What the gateway knows of a stream by Envoy's names; undefined for what it does not. */
export function findProperty(path: readonly string[], stream: HttpStream): PropertyValue | undefined {
  return path.length === 2 ? readers.get(dottedName(path))?.(stream) : undefined;
}

function join(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function integer(value: number): PropertyValue {
  return { int: BigInt(value) };
}

function durationOf(ms: number | undefined): PropertyValue | undefined {
  return ms === undefined ? undefined : { durationNs: BigInt(Math.round(ms * 1e6)) };
}

function backendLatency({ upstreamLastMs, requestEndMs }: HttpStream): PropertyValue | undefined {
  if (upstreamLastMs === undefined || requestEndMs === undefined) return undefined;
  return durationOf(upstreamLastMs - requestEndMs);
}
