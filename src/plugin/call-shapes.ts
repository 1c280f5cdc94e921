/**
 * What the numbers of a host function are. `text`, `pairs`, `path` and `secret` take two of them, an address and a size;
 * so do those with `out`, except `outInt` and `outLong`, which are an address each.
 */
export type ArgumentKind =
  | "int"
  | "ms"
  | "level"
  | "map"
  | "buffer"
  | "stream"
  | "metric"
  | "text"
  | "pairs"
  | "path"
  | "secret"
  | "outText"
  | "outPairs"
  | "outInt"
  | "outLong";

const shapes: Readonly<Record<string, string>> = {
  envoy_resolve_dns: "text outInt",
  log: "level text",
  get_log_level: "outInt",
  get_status: "outInt outText",
  get_current_time_nanoseconds: "outLong",
  set_tick_period_milliseconds: "ms",
  set_effective_context: "int",
  get_property: "path outText",
  set_property: "path text",
  get_configuration: "outText",
  get_buffer_bytes: "buffer int int outText",
  get_buffer_status: "buffer outInt outInt",
  set_buffer_bytes: "buffer int int text",
  get_header_map_size: "map outInt",
  get_header_map_pairs: "map outPairs",
  set_header_map_pairs: "map pairs",
  get_header_map_value: "map text outText",
  add_header_map_value: "map text text",
  replace_header_map_value: "map text text",
  remove_header_map_value: "map text",
  continue_stream: "stream",
  close_stream: "stream",
  send_local_response: "int text text pairs int",
  http_call: "text pairs text pairs ms outInt",
  grpc_call: "text text text pairs text ms outInt",
  grpc_stream: "text text text pairs outInt",
  grpc_send: "int text int",
  grpc_cancel: "int",
  grpc_close: "int",
  get_shared_data: "text outText outInt",
  set_shared_data: "text text int",
  register_shared_queue: "text outInt",
  resolve_shared_queue: "text text outInt",
  enqueue_shared_queue: "int text",
  dequeue_shared_queue: "int outText",
  define_metric: "metric text outInt",
  increment_metric: "int int",
  record_metric: "int int",
  get_metric: "int outLong",
  call_foreign_function: "text text outText",
  redis_init: "text text secret ms",
  redis_call: "text text outInt",
  inject_encoded_data_to_filter_chain: "text int",
  get_upstream_hosts: "outPairs",
  set_upstream_override_host: "text",
};

/** What the numbers of a function of module `env` are; undefined for one that is not known. */
export function argumentKinds(name: string): readonly ArgumentKind[] | undefined {
  const shape = shapes[name.replace(/^proxy_/, "")];
  return shape?.split(" ") as ArgumentKind[] | undefined;
}

const parameters: Readonly<Record<string, string>> = {
  _initialize: "",
  _start: "",
  __main_void: "",
  main: "argc argv",
  envoy_on_resolve_dns: "plugin call size",
  on_context_create: "context plugin",
  on_vm_start: "plugin size",
  validate_configuration: "plugin size",
  on_configure: "plugin size",
  on_tick: "plugin",
  on_queue_ready: "plugin queue",
  on_foreign_function: "plugin function size",
  on_request_headers: "context headers end",
  on_response_headers: "context headers end",
  on_request_body: "context size end",
  on_response_body: "context size end",
  on_request_trailers: "context trailers",
  on_response_trailers: "context trailers",
  on_http_call_response: "plugin call headers size trailers",
  on_grpc_receive_initial_metadata: "plugin call metadata",
  on_grpc_receive: "plugin call size",
  on_grpc_receive_trailing_metadata: "plugin call metadata",
  on_grpc_close: "plugin call status",
  on_redis_call_response: "plugin call status size",
  on_downstream_data: "context size end",
  on_upstream_data: "context size end",
  on_downstream_connection_close: "context peer",
  on_upstream_connection_close: "context peer",
};

/** The names of a callback's parameters. */
export function parameterNames(callback: string): readonly string[] {
  const names = parameters[callback.replace(/^proxy_/, "")] ?? "context";
  return names === "" ? [] : names.split(" ");
}
