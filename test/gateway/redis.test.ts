// A plugin's Redis calls on their whole way: guest, gateway, its cluster, a real redis-server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeCommand } from "../../src/redis/command.ts";
import { runGateway, runUpstream } from "../peers/gateway.ts";
import { cluster, gatewayConfig, slot, wasmFilter } from "../peers/gateway-config.ts";
import { guestModule } from "../peers/guest-module.ts";
import { startRedis } from "../peers/redis.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const timeoutMs = 1000;
const redisResponse = 9;
const maxBytes = 99;

/** Counts requests in Redis, and logs each raw answer. */
const counter = guestModule({
  abi: "0.2.100",
  callbacks: {
    on_configure: [{ show: "proxy_redis_init", with: ["redis", "", "", timeoutMs] }],
    on_request_headers: [
      {
        call: "proxy_redis_call",
        with: ["redis", encodeCommand("INCR", "requests").toString("latin1"), "OUT"],
      },
    ],
    on_redis_call_response: [
      { show: "proxy_get_buffer_bytes", with: [redisResponse, 0, maxBytes, "OUT", "OUT_SIZE"] },
    ],
  },
});

test("a plugin's Redis calls go over the gateway's cluster, and again after Redis was away", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("upstream"));
  const redis = await startRedis();
  const clusters = [cluster("up", [upstream.port]), cluster("redis", [redis.port])];
  const extensionConfigs = { counter: wasmFilter("counter", counter) };
  const logged: string[] = [];
  const { port } = await runGateway(
    t,
    gatewayConfig({ clusters, filters: [slot("counter")], extensionConfigs }),
    { onPluginLog: ({ message }) => logged.push(message) },
  );
  assert.deepEqual(logged, ["A"], "the cluster is there when the plugin is configured");
  const ask = async () => assert.equal((await get(port, "/", "a.com")).body, "upstream");
  const counted = (count: number) =>
    until(`Redis has counted ${count}`, () => logged.some((line) => line.includes(`:${count}\r\n`)));
  await ask();
  await counted(1);
  await ask();
  await counted(2);
  await redis.stop();
  await ask();
  const again = await startRedis({ port: redis.port });
  t.after(() => again.stop());
  logged.length = 0;
  await until("Redis counts again", async () => {
    await ask();
    return logged.some((line) => /:\d+\r\n/.test(line));
  });
});
