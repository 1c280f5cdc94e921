/** The numbers and names of the proxy-wasm ABI, as proxy-wasm-cpp-host and the specification have them. */

import { higressFunctions, stockFunctions } from "../wasm/envoy-imports.ts";

export { wasiFunctions, wasiModules } from "../wasm/envoy-imports.ts";

/** The ABI versions that this host knows. 0.2.100 is Higress' own: 0.2.1 with functions of its own. */
export const abiVersions = ["0.1.0", "0.2.0", "0.2.1", "0.2.100"] as const;

export type AbiVersion = (typeof abiVersions)[number];

/** The export by which a module says which ABI it was made for. It is never called. */
export const abiMarkers: ReadonlyMap<string, AbiVersion> = new Map(
  abiVersions.map((version) => [`proxy_abi_version_${version.replaceAll(".", "_")}`, version]),
);

/** What a host function answers. */
export const Status = {
  Ok: 0,
  NotFound: 1,
  BadArgument: 2,
  SerializationFailure: 3,
  ParseFailure: 4,
  BadExpression: 5,
  InvalidMemoryAccess: 6,
  Empty: 7,
  CasMismatch: 8,
  ResultMismatch: 9,
  InternalFailure: 10,
  BrokenConnection: 11,
  Unimplemented: 12,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

export const LogLevel = { Trace: 0, Debug: 1, Info: 2, Warn: 3, Error: 4, Critical: 5 } as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];

/** What a headers callback answers. */
export const HeadersAction = {
  Continue: 0,
  /** Held; body callbacks run. */
  StopIteration: 1,
  ContinueAndEndStream: 2,
  StopAllIterationAndBuffer: 3,
  /** Held; no body callback until the stream is continued. */
  StopAllIterationAndWatermark: 4,
} as const;
export type HeadersAction = (typeof HeadersAction)[keyof typeof HeadersAction];

/** What a body callback answers. */
export const BodyAction = {
  Continue: 0,
  StopIterationAndBuffer: 1,
  StopIterationAndWatermark: 2,
  StopIterationNoBuffer: 3,
} as const;
export type BodyAction = (typeof BodyAction)[keyof typeof BodyAction];

/** What a trailers callback, and the callbacks of TCP streams, answer. */
export const Action = { Continue: 0, Pause: 1 } as const;
export type Action = (typeof Action)[keyof typeof Action];

export const MapType = {
  RequestHeaders: 0,
  RequestTrailers: 1,
  ResponseHeaders: 2,
  ResponseTrailers: 3,
  GrpcInitialMetadata: 4,
  GrpcTrailingMetadata: 5,
  CallHeaders: 6,
  CallTrailers: 7,
} as const;
export type MapType = (typeof MapType)[keyof typeof MapType];

export const BufferType = {
  RequestBody: 0,
  ResponseBody: 1,
  DownstreamData: 2,
  UpstreamData: 3,
  CallBody: 4,
  GrpcMessage: 5,
  VmConfiguration: 6,
  PluginConfiguration: 7,
  ForeignArguments: 8,
  /** Higress' only. */
  RedisResponse: 9,
} as const;
export type BufferType = (typeof BufferType)[keyof typeof BufferType];

export const StreamType = { Request: 0, Response: 1, Downstream: 2, Upstream: 3 } as const;
export type StreamType = (typeof StreamType)[keyof typeof StreamType];

export const MetricKind = { Counter: 0, Gauge: 1, Histogram: 2 } as const;
export type MetricKind = (typeof MetricKind)[keyof typeof MetricKind];

export const PeerType = { Unknown: 0, Local: 1, Remote: 2 } as const;
export type PeerType = (typeof PeerType)[keyof typeof PeerType];

const words = (text: string): readonly string[] => text.trim().split(/\s+/);
const proxy = (text: string): readonly string[] => words(text).map((name) => `proxy_${name}`);

/** The functions of module `env` that a guest of an ABI may import. Higress has its own for 0.2.1 as well. */
export function hostFunctions(version: AbiVersion): ReadonlySet<string> {
  if (version === "0.1.0") return new Set(stockFunctions("proxy_abi_version_0_1_0"));
  if (version === "0.2.0") return new Set(stockFunctions("proxy_abi_version_0_2_0"));
  return new Set([...stockFunctions("proxy_abi_version_0_2_1"), ...higressFunctions]);
}

/** The guest's exports that the host calls; each may be missing. Their parameters are numbers only. */
export const callbackNames: readonly string[] = [
  "envoy_on_resolve_dns",
  ...proxy(`
    on_context_create on_vm_start validate_configuration on_configure on_tick on_queue_ready on_foreign_function
    on_done on_log on_delete
    on_request_headers on_request_body on_request_trailers on_request_metadata
    on_response_headers on_response_body on_response_trailers on_response_metadata
    on_http_call_response on_grpc_receive_initial_metadata on_grpc_receive on_grpc_receive_trailing_metadata
    on_grpc_close on_redis_call_response
    on_new_connection on_downstream_data on_upstream_data
    on_downstream_connection_close on_upstream_connection_close`),
];
