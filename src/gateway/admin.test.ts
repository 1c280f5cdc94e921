import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";
import { serveAdmin } from "./admin.ts";

async function runAdmin(t: TestContext) {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const running = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  const { gateway, port, config } = running;
  const ended = new AbortController();
  t.after(() => ended.abort());
  let quits = 0;
  const onQuit = () => {
    quits++;
  };
  const options = { bind: "127.0.0.1", port: 0, version: "0.1.0", node: { id: "n" }, signal: ended.signal };
  const admin = await serveAdmin({ gateway, config, ...options, onQuit });
  const post = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://127.0.0.1:${admin}${path}`, { method: "POST", headers });
    return { status: answer.status, body: await answer.text() };
  };
  return { ...running, admin, port, upstream, post, quits: () => quits };
}

test("the admin pages tell what the gateway does", async (t) => {
  const { admin, port, upstream } = await runAdmin(t);
  await get(port, "/", "a.com");
  assert.equal((await get(admin, "/ready")).body, "LIVE\n");
  const { body } = await get(admin, "/stats");
  assert.match(body, /^cluster\.up\.upstream_rq_200: 1$/m);
  assert.match(body, /^http\.test\.downstream_rq_2xx: 1$/m);
  assert.match(
    (await get(admin, "/stats/prometheus")).body,
    /^envoy_cluster_upstream_rq\{envoy_response_code="200",envoy_cluster_name="up"\} 1$/m,
  );
  assert.equal((await get(admin, "/listeners")).body, `test::127.0.0.1:${port}\n`);
  assert.match(
    (await get(admin, "/clusters")).body,
    new RegExp(`^up::127.0.0.1:${upstream.port}::rq_total::1$`, "m"),
  );
  assert.equal(JSON.parse((await get(admin, "/server_info")).body).state, "LIVE");
});

test("what changes something wants POST, and no other site's page may do it", async (t) => {
  const { admin, post, quits } = await runAdmin(t);
  for (const path of [
    "/quitquitquit",
    "/reset_counters",
    "/drain_listeners",
    "/logging",
    "/healthcheck/fail",
  ]) {
    const { status, body } = await get(admin, path);
    assert.deepEqual([status, body], [405, "Method GET not allowed, POST required."]);
    assert.equal((await post(path, { origin: "http://evil.example" })).status, 403);
  }
  assert.equal((await get(admin, "/ready")).body, "LIVE\n");
  assert.equal(quits(), 0);
  assert.equal((await post("/quitquitquit")).body, "OK\n");
  await until("the program is asked to end", () => quits() === 1);
});

test("a gateway that fails its health check says DRAINING until it is well again", async (t) => {
  const { admin, post } = await runAdmin(t);
  await post("/healthcheck/fail");
  const { status, body } = await get(admin, "/ready");
  assert.deepEqual([status, body], [503, "DRAINING\n"]);
  await post("/healthcheck/ok");
  assert.equal((await get(admin, "/ready")).status, 200);
});

test("counters go back to zero, gauges stay", async (t) => {
  const { admin, port, post } = await runAdmin(t);
  await get(port, "/", "a.com");
  await post("/reset_counters");
  const { body } = await get(admin, "/stats");
  assert.match(body, /^http\.test\.downstream_rq_total: 0$/m);
  assert.match(body, /^cluster\.up\.upstream_rq_200: 0$/m);
  assert.match(body, /^cluster\.up\.membership_total: 1$/m);
});

test("drained listeners take no connections", async (t) => {
  const { port, post } = await runAdmin(t);
  await get(port, "/", "a.com");
  await post("/drain_listeners?inboundonly");
  assert.equal((await get(port, "/", "a.com")).status, 200);
  await post("/drain_listeners");
  await assert.rejects(get(port, "/", "a.com"), { code: "ECONNREFUSED" });
});

test("queries that are wrong are refused, and long ones too", async (t) => {
  const { admin } = await runAdmin(t);
  for (const [path, status] of [
    ["/stats?filter=(", 400],
    [`/stats?filter=${"a".repeat(5000)}`, 400],
    ["/stats?format=x", 400],
    ["/stats?type=x", 400],
    ["/stats?histogram_buckets=x", 400],
    ["/clusters?filter=[", 400],
    ["/config_dump?name_regex=(", 400],
    ["/config_dump?mask=nothing", 400],
    ["/config_dump?resource=bootstrap", 400],
    ["/config_dump?resource=nothing", 404],
    ["/constructor", 404],
  ] as const)
    assert.equal((await get(admin, path)).status, status, path);
});
