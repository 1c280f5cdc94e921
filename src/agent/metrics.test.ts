import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Registry } from "prom-client";
import { silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { addServerMetrics } from "../xds/metrics.ts";
import { createXdsServer } from "../xds/server.ts";
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
  metrics.watchCache({ entries: () => [], size: () => 7 }, 100);
  const text = await registry.metrics();
  assert.match(text, /^istio_agent_wasm_cache_lookup_count\{hit="true"\} 1$/m);
  assert.match(text, /^istio_agent_wasm_remote_fetch_count\{result="checksum_mismatched"\} 1$/m);
  assert.match(text, /^istio_agent_wasm_cache_entries 0$/m);
});

test("downloads, and the size of the cache, have names of our own", async () => {
  const registry = new Registry();
  const metrics = createModuleMetrics(registry);
  metrics.onPull("success", 40);
  metrics.onPull("failure", 400_000);
  metrics.onReceived(1000);
  metrics.onReceived(24);
  metrics.watchCache({ entries: () => [], size: () => 7 }, 100);
  const text = await registry.metrics();
  assert.match(text, /^wasmline_module_pull_seconds_bucket\{le="0.025",result="success"\} 0$/m);
  assert.match(text, /^wasmline_module_pull_seconds_bucket\{le="0.05",result="success"\} 1$/m);
  assert.match(text, /^wasmline_module_pull_seconds_sum\{result="failure"\} 400$/m);
  assert.match(text, /^wasmline_module_received_bytes_total 1024$/m);
  assert.match(text, /^wasmline_module_cache_bytes 7$/m);
  assert.match(text, /^wasmline_module_cache_max_bytes 100$/m);
});

test("each metric has a line in docs/metrics.md, and each line a metric", async () => {
  const registry = new Registry();
  createModuleMetrics(registry).watchCache({ entries: () => [], size: () => 0 }, 0);
  addServerMetrics(registry, createXdsServer({ snapshotFor: () => createWatchable(), log: silentLog }));
  const page = await readFile(new URL("../../docs/metrics.md", import.meta.url), "utf8");
  const described = [...page.matchAll(/^\| `(\w+)(?:\{(.*?)\})?` \| (\w+) \|/gm)].map(([, name, , type]) => [
    name,
    type,
  ]);
  const found = (await registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]);
  assert.deepEqual(described.sort(), found.sort());
});
