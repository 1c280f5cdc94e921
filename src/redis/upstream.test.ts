import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { type Redis, startRedis } from "../../test/peers/redis.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { encodeCommand } from "./command.ts";
import { createRedisUpstream, type RedisUpstream, type RedisUpstreamOptions } from "./upstream.ts";

const password = "open-sesame";
const longMs = 20_000;
let redis: Redis;
const ended = new AbortController();

before(async () => {
  redis = await startRedis({
    password,
    args: ["--user", "plugin", "on", ">secret-of-plugin", "~*", "+@all"],
  });
});
after(async () => {
  ended.abort();
  await redis.stop();
});

interface Opened extends RedisUpstream {
  readonly sockets: Socket[];
  ask(...words: readonly string[]): Promise<string>;
}

function open(options: Partial<RedisUpstreamOptions> & { readonly port?: number } = {}): Opened {
  const sockets: Socket[] = [];
  const upstream = createRedisUpstream({
    connect() {
      const socket = connect(options.port ?? redis.port, "127.0.0.1").setNoDelay();
      sockets.push(socket);
      return socket;
    },
    password,
    timeoutMs: longMs,
    maxConnections: 1,
    log: silentLog,
    signal: ended.signal,
    ...options,
  });
  const ask = async (...words: readonly string[]) =>
    Buffer.from(await upstream.call(encodeCommand(...words), longMs)).toString("latin1");
  return { ...upstream, sockets, ask };
}

const fails =
  (code: SystemErrorCode, pattern = /./) =>
  (error: unknown) =>
    error instanceof SystemError && error.code === code && pattern.test(error.message);

test("replies come back as Redis wrote them", async () => {
  const { ask } = open();
  assert.equal(await ask("PING"), "+PONG\r\n");
  assert.equal(await ask("SET", "plain", "a\r\nb"), "+OK\r\n");
  assert.equal(await ask("GET", "plain"), "$4\r\na\r\nb\r\n");
  assert.equal(await ask("GET", "absent"), "$-1\r\n");
  assert.equal(await ask("INCRBY", "number", "-5"), ":-5\r\n");
  assert.equal(await ask("MGET", "plain", "absent"), "*2\r\n$4\r\na\r\nb\r\n$-1\r\n");
  assert.equal(await ask("EVAL", "return {1,{'x',{}}}", "0"), "*2\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n");
});

test("an error of Redis is a reply, and so is what may not be sent", async () => {
  const { ask, call, sockets } = open();
  assert.match(await ask("NOSUCH"), /^-ERR unknown command/);
  assert.match(await ask("SUBSCRIBE", "channel"), /^-ERR wasmline: SUBSCRIBE .*shared/);
  const inline = await call(Buffer.from("PING\r\n"), longMs);
  assert.match(Buffer.from(inline).toString(), /^-ERR wasmline: expected one command/);
  assert.equal(await ask("PING"), "+PONG\r\n");
  assert.equal(sockets.length, 1);
});

test("a thousand calls at once share a connection, and each has its own reply, in order", async () => {
  const { ask, sockets } = open();
  const counts = await Promise.all(Array.from({ length: 1000 }, () => ask("INCR", "shared-count")));
  assert.deepEqual(
    counts,
    counts.map((_, i) => `:${i + 1}\r\n`),
  );
  assert.equal(sockets.length, 1);
});

test("more connections are made when one has many calls under way, up to the limit", async () => {
  const { ask, sockets } = open({ maxConnections: 3 });
  await Promise.all(Array.from({ length: 60 }, () => ask("PING")));
  assert.equal(sockets.length, 1);
  const echoes = await Promise.all(Array.from({ length: 1000 }, (_, i) => ask("ECHO", `${i}`)));
  assert.ok(echoes.every((echo, i) => echo.endsWith(`\r\n${i}\r\n`)));
  assert.equal(sockets.length, 3);
});

test("a large reply comes whole, and one above the limit fails alone", async () => {
  const { ask } = open({ maxReplyBytes: 1_000_000 });
  await ask("SETRANGE", "large", "900000", "x");
  const [fine, , small] = await Promise.all([
    ask("GET", "large"),
    ask("SETRANGE", "large", "1100000", "x"),
    ask("PING"),
  ]);
  assert.equal(fine.length, 900_012);
  assert.equal(small, "+PONG\r\n");
  const [large, after] = await Promise.allSettled([ask("GET", "large"), ask("PING")]);
  assert.ok(large.status === "rejected" && fails("too-large")(large.reason));
  assert.ok(after.status === "fulfilled" && after.value === "+PONG\r\n");
});

test("a database is selected, and users have names", async () => {
  const [first, second] = [open(), open({ database: 5 })];
  await first.ask("SET", "where", "zero");
  assert.equal(await second.ask("GET", "where"), "$-1\r\n");
  const named = open({ username: "plugin", password: "secret-of-plugin" });
  assert.equal(await named.ask("ACL", "WHOAMI"), "$6\r\nplugin\r\n");
});

test("wrong credentials are unauthorized for every call, and appear in no message", async () => {
  const { ask, sockets } = open({ password: "wrong-secret" });
  for (let i = 0; i < 3; i++)
    await assert.rejects(
      ask("PING"),
      (error) => fails("unauthorized", /WRONGPASS/)(error) && !/wrong-secret/.test(String(error)),
    );
  assert.ok(sockets.length < 3, "there was a rest between attempts");
  await assert.rejects(open({ database: 99 }).ask("PING"), fails("network", /DB index is out of range/));
});

test("a call that is not answered in time fails, and the connection with it", async () => {
  const { call, ask, sockets } = open();
  const blocked = call(encodeCommand("BLPOP", "never", "0"), 30);
  const behind = ask("PING");
  await assert.rejects(blocked, fails("timeout", /30 ms/));
  await assert.rejects(behind, fails("timeout"));
  await until("a new connection works", async () => (await ask("PING")) === "+PONG\r\n");
  assert.equal(sockets.length, 2);
});

test("a server that is away fails calls at once, and is found again when it is back", async () => {
  const own = await startRedis();
  const { ask, sockets } = open({ port: own.port, password: undefined });
  assert.equal(await ask("PING"), "+PONG\r\n");
  await own.stop();
  await assert.rejects(ask("PING"), fails("network"));
  for (let i = 0; i < 20; i++) await assert.rejects(ask("PING"), fails("network"));
  assert.ok(sockets.length < 10, `${sockets.length} attempts for 21 calls`);
  const again = await startRedis({ port: own.port });
  await until("it is found again", async () => (await ask("PING")) === "+PONG\r\n");
  await again.stop();
});

test("what is no Redis is an error that says so", async () => {
  const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(
    0,
    "127.0.0.1",
  );
  await until("it listens", () => server.address());
  const { port } = server.address() as { port: number };
  await assert.rejects(
    open({ port, password: undefined }).ask("PING"),
    fails("network", /HTTP.*expected RESP2/),
  );
  server.close();
});

test("the signal ends connections and calls", async () => {
  const controller = new AbortController();
  const { call, ask, sockets } = open({ signal: controller.signal });
  await ask("PING");
  const blocked = call(encodeCommand("BLPOP", "never", "0"), longMs);
  controller.abort();
  await assert.rejects(blocked, fails("cancelled"));
  await assert.rejects(ask("PING"), fails("cancelled"));
  assert.ok(sockets.every((socket) => socket.destroyed));
});
