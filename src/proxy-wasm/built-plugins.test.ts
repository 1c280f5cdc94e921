import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { createLocalOutside, createPluginHost, exchange, type LogRecord, type Message } from "./index.ts";

// The plugins of this repository, as they are built.

const request = (path: string, ...headers: [string, string][]): Message => ({
  headers: [[":authority", "foo.com"], [":path", path], [":method", "GET"], [":scheme", "http"], ...headers],
});

async function startBuilt(name: string, configuration: unknown) {
  const logs: LogRecord[] = [];
  const host = createPluginHost(createLocalOutside({ log: (record) => logs.push(record) }));
  const file = new URL(`../../build/plugins/${name}.wasm`, import.meta.url);
  const module = await host.compile(await readFile(file), name);
  return { host, logs, plugin: host.start({ name, module, configuration: JSON.stringify(configuration) }) };
}

const keyAuth = {
  keys: ["x-api-key"],
  in_header: true,
  consumers: [{ name: "a", credential: "t" }],
  global_auth: true,
};

test("key-auth answers who has no key, and lets pass who has", async () => {
  const { plugin } = await startBuilt("key-auth", keyAuth);
  const denied = await exchange([plugin], request("/"));
  assert.equal(denied.request, undefined);
  assert.equal(new Map(denied.response!.headers).get(":status"), "401");
  const allowed = await exchange([plugin], request("/", ["x-api-key", "t"]));
  assert.equal(allowed.response!.headers[0]![1], "200");
  assert.equal(new Map(allowed.request!.headers).get("x-mse-consumer"), "a");
  assert.equal(plugin.status().streams, 0);
});

test("custom-response answers from its configuration", async () => {
  const { plugin } = await startBuilt("custom-response", {
    status_code: 418,
    body: "tea",
    headers: ["x-a=b"],
  });
  const outcome = await exchange([plugin], request("/"));
  assert.deepEqual([outcome.response!.body.toString(), outcome.request], ["tea", undefined]);
  assert.equal(new Map(outcome.response!.headers).get("x-a"), "b");
});
