import assert from "node:assert/strict";
import { test } from "node:test";
import { abiVersions, callbackNames, hostFunctions } from "../proxy-wasm/abi.ts";
import { serializeMap } from "../proxy-wasm/header-map-codec.ts";
import { argumentKinds, parameterNames } from "./call-shapes.ts";
import { describeAnswer, describeCallback, describeHostCall, describeHostResult } from "./describe-call.ts";

/** A memory with things at places. */
function memoryWith(...items: readonly (readonly [at: number, bytes: string | Uint8Array])[]): Uint8Array {
  const memory = new Uint8Array(4096);
  for (const [at, bytes] of items) memory.set(Buffer.from(bytes as string), at);
  return memory;
}

/** Functions without arguments, and what only emscripten calls. */
const bare = new Set(
  "proxy_done proxy_continue_request proxy_continue_response proxy_clear_route_cache pthread_equal emscripten_notify_memory_growth".split(
    " ",
  ),
);

test("every host function and every callback is known", () => {
  const all = new Set(abiVersions.flatMap((version) => [...hostFunctions(version)]));
  assert.deepEqual(
    [...all].filter((name) => !bare.has(name) && !argumentKinds(name)),
    [],
  );
  for (const name of callbackNames) assert.ok(parameterNames(name).length > 0, name);
});

test("arguments are read from memory, by what they are", () => {
  const map = serializeMap([
    ["a", "1"],
    ["b", "2"],
  ]);
  const memory = memoryWith([100, "a\0b"], [200, map], [300, Uint8Array.of(0, 255, 254)], [400, "pass"]);
  const shown = (name: string, ...parameters: number[]) => describeHostCall("env", name, parameters, memory);
  assert.equal(shown("proxy_get_property", 100, 3, 8, 12), 'proxy_get_property("a.b")');
  assert.equal(
    shown("proxy_set_header_map_pairs", 2, 200, map.length),
    'proxy_set_header_map_pairs(response headers, {a: "1", b: "2"})',
  );
  assert.equal(
    shown("proxy_set_buffer_bytes", 0, 0, 9, 300, 3),
    "proxy_set_buffer_bytes(request body, 0, 9, 3 bytes 00fffe)",
  );
  assert.equal(shown("proxy_set_tick_period_milliseconds", 20), "proxy_set_tick_period_milliseconds(20 ms)");
  assert.equal(
    shown("proxy_redis_init", 100, 1, 400, 4, 400, 4, 9),
    'proxy_redis_init("a", "pass", ***, 9 ms)',
  );
  assert.equal(shown("proxy_log", 9, 4090, 100), "proxy_log(9, (no memory at 4090, 100 bytes))");
  assert.equal(shown("proxy_log", 2, -1, 1), "proxy_log(info, (no memory at 4294967295, 1 bytes))");
  assert.equal(
    describeHostCall("wasi_snapshot_preview1", "fd_close", [3], memory),
    "wasi_snapshot_preview1.fd_close(3)",
  );
  assert.equal(
    describeHostCall("env", "proxy_log", [2, 100, 1], undefined),
    "proxy_log(info, (no memory at 100, 1 bytes))",
  );
});

test("results are statuses, with what the guest was given", () => {
  const place = (at: number, size: number) => new Uint8Array(Uint32Array.of(at, size).buffer);
  const memory = memoryWith([8, place(100, 3)], [100, "abc"]);
  const shown = (name: string, result: number, ...parameters: number[]) =>
    describeHostResult("env", name, parameters, result, memory);
  assert.equal(shown("proxy_get_property", 0, 50, 1, 8, 12), 'ok "abc"');
  assert.equal(shown("proxy_get_property", 1, 50, 1, 8, 12), "not found");
  assert.equal(shown("proxy_http_call", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12), "ok 3");
  assert.equal(shown("proxy_get_current_time_nanoseconds", 0, 8), `ok ${100n + (3n << 32n)}`);
  assert.equal(shown("proxy_call_foreign_function", 0, 50, 1, 50, 1, 0, 0), "ok nothing");
  assert.equal(shown("proxy_done", 99), "99");
});

test("callbacks have named parameters and answers", () => {
  assert.equal(
    describeCallback("proxy_on_http_call_response", [1, 2, 3, 4, 5]),
    "proxy_on_http_call_response(plugin 1, call 2, headers 3, size 4, trailers 5)",
  );
  assert.equal(describeCallback("proxy_on_log", [2, 0, 0]), "proxy_on_log(context 2)");
  assert.equal(describeAnswer("proxy_on_request_headers", 4), "stop all iteration and watermark");
  assert.equal(describeAnswer("proxy_on_response_body", 1), "stop iteration and buffer");
  assert.equal(describeAnswer("proxy_on_configure", 0), "false");
  assert.equal(describeAnswer("proxy_on_request_trailers", 1), "pause");
  assert.equal(describeAnswer("proxy_on_tick", undefined), undefined);
});
