// A plugin and a real redis-server, with the gateway's Redis client between them.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, test } from "node:test";
import { silentLog } from "../../src/log.ts";
import { exchange, type Message } from "../../src/proxy-wasm/index.ts";
import { encodeCommand } from "../../src/redis/command.ts";
import { createRedisUpstream } from "../../src/redis/upstream.ts";
import type { Argument, Step } from "../peers/guest-module.ts";
import { startRedis } from "../peers/redis.ts";
import { createGuestHost } from "../peers/start-guest.ts";
import { until } from "../peers/until.ts";

const timeoutMs = 5_000;
const request: Message = {
  headers: [
    [":method", "GET"],
    [":path", "/"],
    [":scheme", "http"],
    [":authority", "a"],
  ],
};

const ends = new AbortController();
after(() => ends.abort());

/** The outside of a gateway with one Redis. */
function outsideWith(port: number) {
  const redis = createRedisUpstream({
    connect: () => connect(port, "127.0.0.1"),
    timeoutMs,
    maxConnections: 1,
    log: silentLog,
    signal: ends.signal,
  });
  return {
    redisInit: ({ upstream }: { readonly upstream: string }) => upstream === "redis",
    redisCall: (_upstream: string, query: Uint8Array) => redis.call(query, timeoutMs),
    hasUpstream: (name: string) => name === "redis",
  };
}

const show = (name: string, ...args: readonly Argument[]): Step => ({ show: `proxy_${name}`, with: args });
const command = (...words: readonly string[]): Step =>
  show("redis_call", "redis", encodeCommand(...words).toString("latin1"), "OUT");

test("a plugin sets and gets a key, and again after Redis was away", async () => {
  const first = await startRedis();
  const guest = createGuestHost(outsideWith(first.port));
  const plugin = await guest.start({
    abi: "0.2.100",
    callbacks: {
      on_configure: [
        show("redis_init", "redis", "", "", 1000),
        show("redis_init", "nobody", "", "", 1000),
        show("redis_call", "nobody", encodeCommand("PING").toString(), "OUT"),
      ],
      on_request_headers: [command("SET", "key", "value"), command("GET", "key")],
      on_redis_call_response: [show("get_buffer_bytes", 9, 0, 99, "OUT", "OUT_SIZE")],
    },
  });
  assert.deepEqual(guest.logs(), ["A", "C", "C"]);
  const answersOf = async () => {
    guest.records.length = 0;
    await exchange([plugin], request);
    const isAnswered = () => guest.logs().filter((line) => line === "A").length === 4;
    await until("both answers", isAnswered);
    return guest.logs().filter((line) => !/^[A-D]$/.test(line) && line.length > 1);
  };
  assert.deepEqual(await answersOf(), ["+OK\r\n", "$5\r\nvalue\r\n"]);
  await first.stop();
  assert.deepEqual(await answersOf(), []);
  const second = await startRedis({ port: first.port });
  const again = await until("Redis answering again", async () => {
    const answers = await answersOf();
    return answers.length === 2 && answers;
  });
  assert.deepEqual(again, ["+OK\r\n", "$5\r\nvalue\r\n"]);
  assert.equal(plugin.status().state, "running");
  plugin.close();
  await second.stop();
});
