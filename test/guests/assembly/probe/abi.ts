// Every function that a stock host offers, as raw numbers: the probe says what it is told to say, right or wrong.

@external("env", "proxy_log")
export declare function proxy_log(level: u32, text: u32, size: u32): u32;
@external("env", "proxy_get_log_level")
export declare function proxy_get_log_level(out: u32): u32;
@external("env", "proxy_get_status")
export declare function proxy_get_status(code: u32, out: u32, outSize: u32): u32;
@external("env", "proxy_get_current_time_nanoseconds")
export declare function proxy_get_current_time_nanoseconds(out: u32): u32;
@external("env", "proxy_set_tick_period_milliseconds")
export declare function proxy_set_tick_period_milliseconds(period: u32): u32;
@external("env", "proxy_set_effective_context")
export declare function proxy_set_effective_context(id: u32): u32;
@external("env", "proxy_done")
export declare function proxy_done(): u32;
@external("env", "proxy_get_property")
export declare function proxy_get_property(path: u32, size: u32, out: u32, outSize: u32): u32;
@external("env", "proxy_set_property")
export declare function proxy_set_property(path: u32, size: u32, value: u32, valueSize: u32): u32;
@external("env", "proxy_get_buffer_bytes")
export declare function proxy_get_buffer_bytes(type: u32, start: u32, max: u32, out: u32, outSize: u32): u32;
@external("env", "proxy_get_buffer_status")
export declare function proxy_get_buffer_status(type: u32, length: u32, flags: u32): u32;
@external("env", "proxy_set_buffer_bytes")
export declare function proxy_set_buffer_bytes(type: u32, start: u32, length: u32, bytes: u32, size: u32): u32;
@external("env", "proxy_get_header_map_size")
export declare function proxy_get_header_map_size(map: u32, out: u32): u32;
@external("env", "proxy_get_header_map_pairs")
export declare function proxy_get_header_map_pairs(map: u32, out: u32, outSize: u32): u32;
@external("env", "proxy_set_header_map_pairs")
export declare function proxy_set_header_map_pairs(map: u32, pairs: u32, size: u32): u32;
@external("env", "proxy_get_header_map_value")
export declare function proxy_get_header_map_value(map: u32, key: u32, size: u32, out: u32, outSize: u32): u32;
@external("env", "proxy_add_header_map_value")
export declare function proxy_add_header_map_value(map: u32, key: u32, size: u32, value: u32, valueSize: u32): u32;
@external("env", "proxy_replace_header_map_value")
export declare function proxy_replace_header_map_value(map: u32, key: u32, size: u32, value: u32, valueSize: u32): u32;
@external("env", "proxy_remove_header_map_value")
export declare function proxy_remove_header_map_value(map: u32, key: u32, size: u32): u32;
@external("env", "proxy_send_local_response")
export declare function proxy_send_local_response(
  code: u32,
  details: u32,
  detailsSize: u32,
  body: u32,
  bodySize: u32,
  headers: u32,
  headersSize: u32,
  grpcStatus: u32,
): u32;
@external("env", "proxy_continue_stream")
export declare function proxy_continue_stream(type: u32): u32;
@external("env", "proxy_close_stream")
export declare function proxy_close_stream(type: u32): u32;
@external("env", "proxy_http_call")
export declare function proxy_http_call(
  upstream: u32,
  upstreamSize: u32,
  headers: u32,
  headersSize: u32,
  body: u32,
  bodySize: u32,
  trailers: u32,
  trailersSize: u32,
  timeout: u32,
  out: u32,
): u32;
@external("env", "proxy_grpc_call")
export declare function proxy_grpc_call(
  upstream: u32,
  upstreamSize: u32,
  service: u32,
  serviceSize: u32,
  method: u32,
  methodSize: u32,
  metadata: u32,
  metadataSize: u32,
  message: u32,
  messageSize: u32,
  timeout: u32,
  out: u32,
): u32;
@external("env", "proxy_grpc_stream")
export declare function proxy_grpc_stream(
  upstream: u32,
  upstreamSize: u32,
  service: u32,
  serviceSize: u32,
  method: u32,
  methodSize: u32,
  metadata: u32,
  metadataSize: u32,
  out: u32,
): u32;
@external("env", "proxy_grpc_send")
export declare function proxy_grpc_send(id: u32, message: u32, size: u32, endOfStream: u32): u32;
@external("env", "proxy_grpc_cancel")
export declare function proxy_grpc_cancel(id: u32): u32;
@external("env", "proxy_grpc_close")
export declare function proxy_grpc_close(id: u32): u32;
@external("env", "proxy_get_shared_data")
export declare function proxy_get_shared_data(key: u32, size: u32, out: u32, outSize: u32, cas: u32): u32;
@external("env", "proxy_set_shared_data")
export declare function proxy_set_shared_data(key: u32, size: u32, value: u32, valueSize: u32, cas: u32): u32;
@external("env", "proxy_register_shared_queue")
export declare function proxy_register_shared_queue(name: u32, size: u32, out: u32): u32;
@external("env", "proxy_resolve_shared_queue")
export declare function proxy_resolve_shared_queue(vmId: u32, vmIdSize: u32, name: u32, size: u32, out: u32): u32;
@external("env", "proxy_enqueue_shared_queue")
export declare function proxy_enqueue_shared_queue(id: u32, value: u32, size: u32): u32;
@external("env", "proxy_dequeue_shared_queue")
export declare function proxy_dequeue_shared_queue(id: u32, out: u32, outSize: u32): u32;
@external("env", "proxy_define_metric")
export declare function proxy_define_metric(type: u32, name: u32, size: u32, out: u32): u32;
@external("env", "proxy_increment_metric")
export declare function proxy_increment_metric(id: u32, offset: i64): u32;
@external("env", "proxy_record_metric")
export declare function proxy_record_metric(id: u32, value: u64): u32;
@external("env", "proxy_get_metric")
export declare function proxy_get_metric(id: u32, out: u32): u32;
@external("env", "proxy_call_foreign_function")
export declare function proxy_call_foreign_function(
  name: u32,
  size: u32,
  value: u32,
  valueSize: u32,
  out: u32,
  outSize: u32,
): u32;

// ABI 0.1.0
@external("env", "proxy_get_configuration")
export declare function proxy_get_configuration(out: u32, outSize: u32): u32;
@external("env", "proxy_continue_request")
export declare function proxy_continue_request(): u32;
@external("env", "proxy_continue_response")
export declare function proxy_continue_response(): u32;
@external("env", "proxy_clear_route_cache")
export declare function proxy_clear_route_cache(): u32;

// Envoy's own
@external("env", "envoy_resolve_dns")
export declare function envoy_resolve_dns(name: u32, size: u32, out: u32): u32;
