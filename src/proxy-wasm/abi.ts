/** The numbers and names of the proxy-wasm ABI, as proxy-wasm-cpp-host and the specification have them. */

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

/** Module `env`, whatever the ABI. */
const always = [
  ...words("pthread_equal emscripten_notify_memory_growth envoy_resolve_dns"),
  ...proxy(`
    log get_status get_current_time_nanoseconds set_tick_period_milliseconds set_effective_context done
    get_property set_property get_buffer_bytes get_buffer_status set_buffer_bytes
    get_header_map_size get_header_map_pairs set_header_map_pairs get_header_map_value
    add_header_map_value replace_header_map_value remove_header_map_value
    send_local_response http_call grpc_call grpc_stream grpc_send grpc_cancel grpc_close
    get_shared_data set_shared_data
    register_shared_queue resolve_shared_queue enqueue_shared_queue dequeue_shared_queue
    define_metric increment_metric record_metric get_metric call_foreign_function`),
];

const sinceTwo = proxy("continue_stream close_stream");
const sinceTwoOne = [...sinceTwo, "proxy_get_log_level"];

/** Module `env`, of Higress' Envoy only. It registers them for 0.2.1 as for its own ABI. */
const ofHigress = proxy(`
  redis_init redis_call inject_encoded_data_to_filter_chain get_upstream_hosts set_upstream_override_host`);

/** Module `env`, besides what is there in any ABI. */
const ofAbi: Readonly<Record<AbiVersion, readonly string[]>> = {
  "0.1.0": proxy("get_configuration continue_request continue_response clear_route_cache"),
  "0.2.0": sinceTwo,
  "0.2.1": [...sinceTwoOne, ...ofHigress],
  "0.2.100": [...sinceTwoOne, ...ofHigress],
};

/** The functions of module `env` that a guest of an ABI may import. */
export function hostFunctions(version: AbiVersion): ReadonlySet<string> {
  return new Set([...always, ...ofAbi[version]]);
}

/** The modules by which a guest may import WASI preview 1. */
export const wasiModules = ["wasi_snapshot_preview1", "wasi_unstable"] as const;

/** WASI preview 1 as Envoy has it: all of it but `proc_raise`. */
export const wasiFunctions: readonly string[] = words(`
  args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get
  fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights
  fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread fd_prestat_dir_name fd_prestat_get
  fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write
  path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink
  path_remove_directory path_rename path_symlink path_unlink_file
  poll_oneoff proc_exit random_get sched_yield sock_accept sock_recv sock_send sock_shutdown`);

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
