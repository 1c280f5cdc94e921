import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig, slot, wasmFilter } from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";

const customResponse = "build/plugins/custom-response.wasm";

test("a request passes to an upstream and its answer comes back", async (t) => {
  const upstream = await runUpstream(t, (request, response) => {
    response.setHeader("x-seen", JSON.stringify([request.method, request.url, request.headers]));
    response.end("hello\n");
  });
  const { port } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  const answer = await get(port, "/a?b=c", "foo.com");
  assert.equal(answer.status, 200);
  assert.equal(answer.body, "hello\n");
  assert.equal(answer.headers.server, "envoy");
  assert.match(String(answer.headers["x-envoy-upstream-service-time"]), /^\d+$/);
  const [method, url, headers] = JSON.parse(String(answer.headers["x-seen"]));
  assert.deepEqual([method, url, headers.host], ["GET", "/a?b=c", "foo.com"]);
  assert.equal(headers["x-forwarded-proto"], "http");
  assert.match(headers["x-forwarded-for"], /^[\d.]+$/);
  assert.equal(headers["x-envoy-external-address"], "127.0.0.1");
  assert.match(headers["x-request-id"], /^[0-9a-f-]{36}$/);
});

test("a request passes through plugins, and an edit is in effect on the same connection", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("upstream\n"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const parts = { clusters: [cluster("up", [upstream.port])], filters: [slot("custom")] };
  const custom = (body: string) =>
    wasmFilter("custom", customResponse, { configuration: JSON.stringify({ body, status_code: 201 }) });
  const first = gatewayConfig({ ...parts, extensionConfigs: { custom: custom("one") } });
  const { port, config, gateway } = await runGateway(t, first);
  const one = await get(port, "/", "foo.com", agent);
  assert.deepEqual([one.status, one.body], [201, "one"]);
  config.set({ ...first, extensionConfigs: new Map([["custom", custom("two")]]) });
  await gateway.settled();
  const two = await get(port, "/", "foo.com", agent);
  assert.deepEqual([two.status, two.body], [201, "two"]);
  assert.equal(gateway.listeners.get("test")?.connectionCount, 1);
});
