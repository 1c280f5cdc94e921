import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { test } from "node:test";
import { readBody, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig, slot, wasmFilter } from "../../test/peers/gateway-config.ts";
import { guestModule } from "../../test/peers/guest-module.ts";
import { get } from "../../test/peers/request.ts";
import { FailurePolicy } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import type { FilterConfig } from "./gateway-config.ts";

const built = (name: string) => `build/plugins/${name}.wasm`;

function adding(value: string): FilterConfig {
  const rule = { operate: "append", headers: [{ key: "x-trail", appendValue: value }] };
  const configuration = JSON.stringify({ respRules: [rule] });
  return wasmFilter(value, built("transformer"), { configuration });
}

test("plugins are added, reordered and removed for the next request of a connection; none is lost", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const [a, b] = [adding("a"), adding("b")];
  const chainOf = (...filters: FilterConfig[]) =>
    new Map([["chain", { kind: "chain", name: "chain", filters } as const]]);
  const base = gatewayConfig({ clusters: [cluster("up", [upstream.port])], filters: [slot("chain")] });
  const { port, config, gateway } = await runGateway(t, { ...base, extensionConfigs: chainOf() });
  const trail = async (filters: readonly FilterConfig[]) => {
    config.set({ ...base, extensionConfigs: chainOf(...filters) });
    await gateway.settled();
    const { status, headers } = await get(port, "/", "a.com", agent);
    assert.equal(status, 200);
    return headers["x-trail"];
  };
  assert.equal(await trail([]), undefined);
  assert.equal(await trail([a]), "a");
  // Responses meet the last filter first.
  assert.equal(await trail([a, b]), "b, a");
  assert.equal(await trail([b, a]), "a, b");
  assert.equal(await trail([b]), "b");
  assert.equal(gateway.listeners.get("test")?.connectionCount, 1);
});

test("a stream that runs ends on the chain that it began with", async (t) => {
  let finish = () => {};
  const upstream = await runUpstream(t, (_, response) => {
    response.writeHead(200);
    response.write("begin;");
    finish = () => response.end("end");
  });
  const first = gatewayConfig({
    clusters: [cluster("up", [upstream.port])],
    filters: [slot("a")],
    extensionConfigs: { a: adding("a") },
  });
  const { port, config, gateway } = await runGateway(t, first);
  const sent = request({ port, host: "127.0.0.1" });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const old = gateway.plugins.find(first.extensionConfigs.get("a") as never);
  config.set({ ...first, extensionConfigs: new Map([["a", adding("b")]]) });
  await gateway.settled();
  assert.equal(old?.status().state, "closed");
  assert.equal(old?.status().streams, 1);
  finish();
  assert.equal((await readBody(response)).toString(), "begin;end");
  assert.equal(response.headers["x-trail"], "a");
  assert.equal(old?.status().streams, 0);
});

test("a plugin that traps fails requests, or lets them pass, as its policy says", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const trapping = guestModule({ callbacks: { on_request_headers: ["trap"] } });
  for (const [failurePolicy, status] of [
    [FailurePolicy.FAIL_CLOSED, 503],
    [FailurePolicy.FAIL_OPEN, 200],
  ] as const) {
    const config = gatewayConfig({
      clusters: [cluster("up", [upstream.port])],
      filters: [slot("trap")],
      extensionConfigs: { trap: wasmFilter("trap", trapping, { failurePolicy }) },
    });
    const { port } = await runGateway(t, config);
    assert.equal((await get(port, "/", "a.com")).status, status);
    assert.equal((await get(port, "/", "a.com")).status, status);
  }
});

test("a plugin answers in place of the upstream, and another one sees who called", async (t) => {
  let reached = 0;
  const upstream = await runUpstream(t, (received, response) => {
    reached++;
    response.end(String(received.headers["x-mse-consumer"]));
  });
  const configuration = JSON.stringify({
    keys: ["x-api-key"],
    in_header: true,
    global_auth: true,
    consumers: [{ name: "ann", credential: "secret" }],
  });
  const config = gatewayConfig({
    clusters: [cluster("up", [upstream.port])],
    filters: [slot("auth")],
    extensionConfigs: { auth: wasmFilter("auth", built("key-auth"), { configuration }) },
  });
  const { port } = await runGateway(t, config);
  assert.equal((await get(port, "/", "a.com")).status, 401);
  assert.equal(reached, 0);
  assert.equal((await get(port, "/", "a.com", undefined, { "x-api-key": "secret" })).body, "ann");
});
