// What the proxy calls. A plugin's module re-exports all of it: `export * from ".../sdk/assembly/exports";`
import "./abort";
import { createContext, deleteContext, enterPlugin, enterStream } from "./context";
import { Action } from "./enums";
import { receiveGrpcClose, receiveGrpcMessage, receiveGrpcMetadata } from "./grpc-call";
import { receiveHttpAnswer } from "./http-call";
import { allocateForHost } from "./memory";

export function proxy_abi_version_0_2_1(): void {}

export function malloc(size: usize): usize {
  return allocateForHost(size);
}

export function proxy_on_context_create(id: u32, parent: u32): void {
  createContext(id, parent);
}

export function proxy_on_vm_start(id: u32, size: u32): u32 {
  const plugin = enterPlugin(id);
  return plugin !== null && plugin.onVmStart(size) ? 1 : 0;
}

export function proxy_on_configure(id: u32, size: u32): u32 {
  const plugin = enterPlugin(id);
  return plugin !== null && plugin.configure(size) ? 1 : 0;
}

export function proxy_on_tick(id: u32): void {
  const plugin = enterPlugin(id);
  if (plugin !== null) plugin.onTick();
}

export function proxy_on_request_headers(id: u32, count: u32, endOfStream: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onRequestHeaders(endOfStream != 0);
}

export function proxy_on_request_body(id: u32, size: u32, endOfStream: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onRequestBody(size, endOfStream != 0);
}

export function proxy_on_request_trailers(id: u32, count: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onRequestTrailers();
}

export function proxy_on_response_headers(id: u32, count: u32, endOfStream: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onResponseHeaders(endOfStream != 0);
}

export function proxy_on_response_body(id: u32, size: u32, endOfStream: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onResponseBody(size, endOfStream != 0);
}

export function proxy_on_response_trailers(id: u32, count: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onResponseTrailers();
}

export function proxy_on_log(id: u32): void {
  const stream = enterStream(id);
  if (stream !== null) stream.onLog();
}

export function proxy_on_done(id: u32): u32 {
  const stream = enterStream(id);
  if (stream !== null) {
    stream.onDone();
    return 1;
  }
  const plugin = enterPlugin(id);
  return plugin === null || plugin.onDone() ? 1 : 0;
}

export function proxy_on_delete(id: u32): void {
  deleteContext(id);
}

export function proxy_on_queue_ready(id: u32, queue: u32): void {
  const plugin = enterPlugin(id);
  if (plugin !== null) plugin.onQueueReady(queue);
}

export function proxy_on_foreign_function(id: u32, name: u32, size: u32): void {
  const plugin = enterPlugin(id);
  if (plugin !== null) plugin.onForeignFunction(name, size);
}

export function proxy_on_http_call_response(id: u32, token: u32, headers: u32, body: u32, trailers: u32): void {
  enterPlugin(id);
  receiveHttpAnswer(token, headers, body);
}

export function proxy_on_grpc_receive_initial_metadata(id: u32, token: u32, count: u32): void {
  enterPlugin(id);
  receiveGrpcMetadata(token, true);
}

export function proxy_on_grpc_receive_trailing_metadata(id: u32, token: u32, count: u32): void {
  enterPlugin(id);
  receiveGrpcMetadata(token, false);
}

export function proxy_on_grpc_receive(id: u32, token: u32, size: u32): void {
  enterPlugin(id);
  receiveGrpcMessage(token);
}

export function proxy_on_grpc_close(id: u32, token: u32, status: u32): void {
  enterPlugin(id);
  receiveGrpcClose(token, status);
}

export function proxy_on_new_connection(id: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onNewConnection();
}

export function proxy_on_downstream_data(id: u32, size: u32, endOfStream: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onDownstreamData(size, endOfStream != 0);
}

export function proxy_on_upstream_data(id: u32, size: u32, endOfStream: u32): u32 {
  const stream = enterStream(id);
  return stream === null ? Action.Continue : stream.onUpstreamData(size, endOfStream != 0);
}

export function proxy_on_downstream_connection_close(id: u32, peer: u32): void {
  const stream = enterStream(id);
  if (stream !== null) stream.onDownstreamClose(peer);
}

export function proxy_on_upstream_connection_close(id: u32, peer: u32): void {
  const stream = enterStream(id);
  if (stream !== null) stream.onUpstreamClose(peer);
}
