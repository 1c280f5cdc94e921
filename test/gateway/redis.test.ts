// A plugin's Redis calls on their whole way: guest, gateway, its cluster, a real redis-server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeCommand } from "../../src/redis/command.ts";
import { runGateway, runUpstream } from "../peers/gateway.ts";
import { cluster, gatewayConfig, slot, wasmFilter } from "../peers/gateway-config.ts";
import { guestModule, out, outSize } from "../peers/guest-module.ts";
import { startRedis } from "../peers/redis.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const command = (...words: readonly string[]) => encodeCommand(...words).toString("latin1");
const ok = 200;
const noGrpc = -1;
const redisResponse = 9;
const pause = 1;

/** Counts in Redis, and answers each request with the raw reply. */
const counter = guestModule({
  abi: "0.2.100",
  callbacks: {
    on_configure: [{ call: "proxy_redis_init", with: ["redis", "", "", 1000] }],
    on_request_headers: [
      { call: "proxy_redis_call", with: ["redis", command("INCR", "requests"), "OUT"] },
      { give: pause },
    ],
    on_redis_call_response: [
      { call: "proxy_get_buffer_bytes", with: [redisResponse, 0, 99, "OUT", "OUT_SIZE"] },
      {
        call: "proxy_send_local_response",
        with: [ok, "counted", { at: out }, { at: outSize }, "", noGrpc],
      },
    ],
  },
});

test("a plugin's Redis calls go over the gateway's cluster, and again after Redis was away", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("upstream"));
  const redis = await startRedis();
  const clusters = [cluster("up", [upstream.port]), cluster("redis", [redis.port])];
  const extensionConfigs = { counter: wasmFilter("counter", counter) };
  const { port } = await runGateway(
    t,
    gatewayConfig({ clusters, filters: [slot("counter")], extensionConfigs }),
  );
  const ask = async () => (await get(port, "/", "a.com")).body;
  assert.equal(await ask(), ":1\r\n");
  assert.equal(await ask(), ":2\r\n");
  await redis.stop();
  assert.equal(await ask(), "", "a request without Redis does not hang");
  const again = await startRedis({ port: redis.port });
  t.after(() => again.stop());
  const answer = await until("Redis counts again", async () => (await ask()) || undefined);
  assert.equal(answer, ":1\r\n");
});
