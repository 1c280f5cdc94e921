import assert from "node:assert/strict";
import { test } from "node:test";
import { runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";
import { serveAdmin } from "./admin.ts";

test("the admin pages tell what the gateway does", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const { gateway, port } = await runGateway(
    t,
    gatewayConfig({ clusters: [cluster("up", [upstream.port])] }),
  );
  const ended = new AbortController();
  t.after(() => ended.abort());
  const options = { bind: "127.0.0.1", port: 0, version: "0.1.0", nodeId: "n", signal: ended.signal };
  const admin = await serveAdmin({ gateway, ...options });
  await get(port, "/", "a.com");
  assert.equal((await get(admin, "/ready")).body, "LIVE\n");
  const { body } = await get(admin, "/stats");
  assert.match(body, /^cluster\.up\.upstream_rq_200: 1$/m);
  assert.match(body, /^http\.test\.downstream_rq_2xx: 1$/m);
  assert.match((await get(admin, "/stats/prometheus")).body, /^envoy_cluster_up_upstream_rq_200\{\} 1$/m);
  assert.equal((await get(admin, "/listeners")).body, `test::127.0.0.1:${port}\n`);
  assert.match((await get(admin, "/clusters")).body, new RegExp(`^up::127.0.0.1:${upstream.port}::`, "m"));
  assert.equal(JSON.parse((await get(admin, "/server_info")).body).state, "LIVE");
});
