// What the proxy calls. A plugin's module re-exports all of it: `export * from ".../sdk/assembly/exports";`
import "./abort";
import { createContext, deleteContext, findPlugin, findStream } from "./context";
import { Action } from "./enums";
import { allocateForHost } from "./memory";

export function proxy_abi_version_0_2_1(): void {}

export function malloc(size: usize): usize {
  return allocateForHost(size);
}

export function proxy_on_context_create(id: u32, parent: u32): void {
  createContext(id, parent);
}

export function proxy_on_vm_start(id: u32, size: u32): u32 {
  return 1;
}

export function proxy_on_configure(id: u32, size: u32): u32 {
  const plugin = findPlugin(id);
  return plugin !== null && plugin.configure(size) ? 1 : 0;
}

export function proxy_on_tick(id: u32): void {
  const plugin = findPlugin(id);
  if (plugin !== null) plugin.onTick();
}

export function proxy_on_request_headers(id: u32, count: u32, endOfStream: u32): u32 {
  const stream = findStream(id);
  return stream === null ? Action.Continue : stream.onRequestHeaders(endOfStream != 0);
}

export function proxy_on_request_body(id: u32, size: u32, endOfStream: u32): u32 {
  const stream = findStream(id);
  return stream === null ? Action.Continue : stream.onRequestBody(size, endOfStream != 0);
}

export function proxy_on_request_trailers(id: u32, count: u32): u32 {
  const stream = findStream(id);
  return stream === null ? Action.Continue : stream.onRequestTrailers();
}

export function proxy_on_response_headers(id: u32, count: u32, endOfStream: u32): u32 {
  const stream = findStream(id);
  return stream === null ? Action.Continue : stream.onResponseHeaders(endOfStream != 0);
}

export function proxy_on_response_body(id: u32, size: u32, endOfStream: u32): u32 {
  const stream = findStream(id);
  return stream === null ? Action.Continue : stream.onResponseBody(size, endOfStream != 0);
}

export function proxy_on_response_trailers(id: u32, count: u32): u32 {
  const stream = findStream(id);
  return stream === null ? Action.Continue : stream.onResponseTrailers();
}

export function proxy_on_log(id: u32): void {
  const stream = findStream(id);
  if (stream !== null) stream.onLog();
}

export function proxy_on_done(id: u32): u32 {
  return 1;
}

export function proxy_on_delete(id: u32): void {
  deleteContext(id);
}
