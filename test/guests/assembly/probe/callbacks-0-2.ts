import { run } from "./script";

export function proxy_on_request_headers(id: u32, count: u32, endOfStream: u32): u32 {
  return run("on_request_headers", id, [count, endOfStream], 0);
}

export function proxy_on_response_headers(id: u32, count: u32, endOfStream: u32): u32 {
  return run("on_response_headers", id, [count, endOfStream], 0);
}

export function proxy_on_foreign_function(id: u32, called: u32, size: u32): void {
  run("on_foreign_function", id, [called, size], 0);
}
