import type { AbiVersion } from "./abi.ts";

/** Functions by how many i32 they take. */
type Table = Readonly<Record<number, string>>;

/** Host functions that give a status. */
const calls: Table = {
  0: "done continue_request continue_response clear_route_cache",
  1: `get_log_level get_current_time_nanoseconds set_tick_period_milliseconds set_effective_context
    continue_stream close_stream grpc_cancel grpc_close`,
  2: "get_header_map_size get_metric get_configuration get_upstream_hosts set_upstream_override_host",
  3: `log get_status get_buffer_status get_header_map_pairs set_header_map_pairs remove_header_map_value
    register_shared_queue enqueue_shared_queue dequeue_shared_queue inject_encoded_data_to_filter_chain`,
  4: "get_property set_property define_metric grpc_send",
  5: `get_buffer_bytes set_buffer_bytes get_header_map_value add_header_map_value replace_header_map_value
    get_shared_data set_shared_data resolve_shared_queue redis_call`,
  6: "call_foreign_function",
  7: "redis_init",
  8: "send_local_response",
  9: "grpc_stream",
  10: "http_call",
  12: "grpc_call",
};

/** Callbacks that answer with a number. */
const questions: Table = {
  1: "on_done on_new_connection",
  2: `on_vm_start validate_configuration on_configure on_request_trailers on_response_trailers
    on_request_metadata on_response_metadata`,
  3: `on_request_headers on_response_headers on_request_body on_response_body
    on_downstream_data on_upstream_data`,
};

/** Callbacks that give nothing. */
const notices: Table = {
  1: "on_tick on_log on_delete",
  2: "on_context_create on_queue_ready on_downstream_connection_close on_upstream_connection_close",
  3: `on_foreign_function on_grpc_receive_initial_metadata on_grpc_receive on_grpc_receive_trailing_metadata
    on_grpc_close`,
  4: "on_redis_call_response",
  5: "on_http_call_response",
};

const signatures: ReadonlyMap<string, string> = new Map([
  ...rows(calls, "i"),
  ...rows(questions, "i"),
  ...rows(notices, ""),
  ["proxy_increment_metric", "iI>i"],
  ["proxy_record_metric", "iI>i"],
]);

/** Before 0.2.0, headers callbacks were not told about the end of the stream. */
const ofFirstAbi: ReadonlyMap<string, string> = new Map(
  rows({ 2: "on_request_headers on_response_headers" }, "i"),
);

function rows(table: Table, result: string): [string, string][] {
  return Object.entries(table).flatMap(([count, names]) =>
    names
      .trim()
      .split(/\s+/)
      .map((name): [string, string] => [`proxy_${name}`, `${"i".repeat(Number(count))}>${result}`]),
  );
}

/** What a host function of module `env`, or a callback, takes and gives, as `readFunctionTypes` writes it; undefined for what is not checked. */
export function signatureOf(name: string, abi: AbiVersion): string | undefined {
  return (abi === "0.1.0" ? ofFirstAbi.get(name) : undefined) ?? signatures.get(name);
}
