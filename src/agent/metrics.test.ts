import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { createModuleMetrics } from "./metrics.ts";
import type { ModuleRequest } from "./module-request.ts";

const request: ModuleRequest = {
  url: "oci://example.com/x:1",
  pullPolicy: "unspecified",
  resource: "a",
  resourceVersion: "1",
};

test("fetches are counted by how they ended and timed, those that were overtaken are not", async () => {
  const registry = new Registry();
  const { measured } = createModuleMetrics(registry);
  const { signal } = new AbortController();
  const fails = measured(() => Promise.reject(new Error("no such image")));
  assert.deepEqual(await measured(async () => ({ path: "/x.wasm" }))(request, signal), { path: "/x.wasm" });
  await assert.rejects(fails(request, signal), /no such image/);
  await assert.rejects(fails(request, AbortSignal.abort()), /no such image/);
  const text = await registry.metrics();
  assert.match(text, /^istio_agent_wasm_config_conversion_count\{result="success"\} 1$/m);
  assert.match(text, /^istio_agent_wasm_config_conversion_count\{result="fetch_failure"\} 1$/m);
  assert.match(text, /^istio_agent_wasm_config_conversion_duration_count 2$/m);
});

test("look-ups, fetches and entries have the names of Istio's agent", async () => {
  const registry = new Registry();
  const metrics = createModuleMetrics(registry);
  metrics.onLookup(true);
  metrics.onFetch("checksum_mismatched");
  metrics.watchEntries(() => []);
  const text = await registry.metrics();
  assert.match(text, /^istio_agent_wasm_cache_lookup_count\{hit="true"\} 1$/m);
  assert.match(text, /^istio_agent_wasm_remote_fetch_count\{result="checksum_mismatched"\} 1$/m);
  assert.match(text, /^istio_agent_wasm_cache_entries 0$/m);
});
