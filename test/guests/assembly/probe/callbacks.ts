import "./abort";
import { configure, createContext, deleteContext, run } from "./script";

export function malloc(size: usize): usize {
  return heap.alloc(size);
}

export function proxy_on_context_create(id: u32, parent: u32): void {
  createContext(id, parent);
  run("on_context_create", id, [parent], 0);
}

export function proxy_on_vm_start(id: u32, size: u32): u32 {
  configure(id, 6, size);
  return run("on_vm_start", id, [size], 1);
}

export function proxy_on_configure(id: u32, size: u32): u32 {
  configure(id, 7, size);
  return run("on_configure", id, [size], 1);
}

export function proxy_validate_configuration(id: u32, size: u32): u32 {
  return run("validate_configuration", id, [size], 1);
}

export function proxy_on_tick(id: u32): void {
  run("on_tick", id, [], 0);
}

export function proxy_on_queue_ready(id: u32, queue: u32): void {
  run("on_queue_ready", id, [queue], 0);
}

export function proxy_on_done(id: u32): u32 {
  return run("on_done", id, [], 1);
}

export function proxy_on_log(id: u32): void {
  run("on_log", id, [], 0);
}

export function proxy_on_delete(id: u32): void {
  run("on_delete", id, [], 0);
  deleteContext(id);
}

export function proxy_on_request_body(id: u32, size: u32, endOfStream: u32): u32 {
  return run("on_request_body", id, [size, endOfStream], 0);
}

export function proxy_on_response_body(id: u32, size: u32, endOfStream: u32): u32 {
  return run("on_response_body", id, [size, endOfStream], 0);
}

export function proxy_on_request_trailers(id: u32, count: u32): u32 {
  return run("on_request_trailers", id, [count], 0);
}

export function proxy_on_response_trailers(id: u32, count: u32): u32 {
  return run("on_response_trailers", id, [count], 0);
}

export function proxy_on_http_call_response(id: u32, call: u32, headers: u32, body: u32, trailers: u32): void {
  run("on_http_call_response", id, [call, headers, body, trailers], 0);
}

export function proxy_on_grpc_receive_initial_metadata(id: u32, call: u32, count: u32): void {
  run("on_grpc_receive_initial_metadata", id, [call, count], 0);
}

export function proxy_on_grpc_receive(id: u32, call: u32, size: u32): void {
  run("on_grpc_receive", id, [call, size], 0);
}

export function proxy_on_grpc_receive_trailing_metadata(id: u32, call: u32, count: u32): void {
  run("on_grpc_receive_trailing_metadata", id, [call, count], 0);
}

export function proxy_on_grpc_close(id: u32, call: u32, status: u32): void {
  run("on_grpc_close", id, [call, status], 0);
}

export function proxy_on_new_connection(id: u32): u32 {
  return run("on_new_connection", id, [], 0);
}

export function proxy_on_downstream_data(id: u32, size: u32, endOfStream: u32): u32 {
  return run("on_downstream_data", id, [size, endOfStream], 0);
}

export function proxy_on_upstream_data(id: u32, size: u32, endOfStream: u32): u32 {
  return run("on_upstream_data", id, [size, endOfStream], 0);
}

export function proxy_on_downstream_connection_close(id: u32, peer: u32): void {
  run("on_downstream_connection_close", id, [peer], 0);
}

export function proxy_on_upstream_connection_close(id: u32, peer: u32): void {
  run("on_upstream_connection_close", id, [peer], 0);
}

export function envoy_on_resolve_dns(id: u32, call: u32, size: u32): void {
  run("on_resolve_dns", id, [call, size], 0);
}
