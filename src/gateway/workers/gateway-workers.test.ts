import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { runUpstream } from "../../../test/peers/gateway.ts";
import { guestModule } from "../../../test/peers/guest-module.ts";
import { freePort } from "../../../test/peers/ports.ts";
import {
  pluginResource,
  rateLimitResource,
  receive,
  slotListener,
  staticCluster,
} from "../../../test/peers/received-config.ts";
import { get } from "../../../test/peers/request.ts";
import { until } from "../../../test/peers/until.ts";
import { type Log, silentLog } from "../../log.ts";
import { createStores, type Recording } from "../../proxy-wasm/index.ts";
import { createWatchable } from "../../watchable.ts";
import { emptyConfig } from "../apply-response.ts";
import { canSharePorts } from "../concurrency.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import type { StatsSnapshot } from "../stats/stats-snapshot.ts";
import { type GatewayWorkersOptions, startGatewayWorkers } from "./gateway-workers.ts";
import type { WorkerScript } from "./worker-thread.ts";

// On a Node without `reusePort` there is one worker; what is said here of several holds for one.
const concurrency = canSharePorts ? 2 : 1;
const manyConnections = 40;

// The runner's translation of TypeScript does not reach other threads. What a test wants a worker to do comes by message.
const programOf = (script: WorkerScript) => `
  const { parentPort } = require("node:worker_threads");
  import("tsx/esm/api").then(async ({ register }) => {
    register();
    await import(${JSON.stringify(new URL(`./${script}.ts`, import.meta.url).href)});
    parentPort.on("message", ({ run }) => run && eval(run));
  });`;

async function runWorkers(
  t: TestContext,
  configOf: (port: number) => GatewayConfig,
  options: Partial<GatewayWorkersOptions> = {},
) {
  const port = await freePort();
  const ended = new AbortController();
  const config = createWatchable(configOf(port));
  const workers: Worker[] = [];
  const trials: Worker[] = [];
  const gateway = startGatewayWorkers({
    config,
    log: silentLog,
    signal: ended.signal,
    concurrency,
    drainMs: 100,
    startWorker: (script, workerData, maxHeapMb) => {
      const worker = new Worker(programOf(script), {
        eval: true,
        workerData,
        resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
      });
      (script === "worker" ? workers : trials).push(worker);
      return worker;
    },
    ...options,
  });
  const stop = () => {
    ended.abort();
    return gateway.closed;
  };
  t.after(stop);
  await gateway.settled();
  return { gateway, port, config, workers, trials, stop };
}

const base =
  (upstreamPort: number, slots: readonly string[] = []) =>
  (port: number) =>
    receive(receive(emptyConfig, "cluster", [staticCluster("up", upstreamPort)]), "listener", [
      slotListener(port, slots),
    ]);

/** Logs lines that are kept. */
function keepLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  return { log, lines };
}

/** Connections that stay open, each with a request answered. */
async function openConnections(t: TestContext, port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, "127.0.0.1"));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on("error", () => {});
  await Promise.all(sockets.map((socket) => ask(socket, "/")));
  return sockets;
}

function counterOf(stats: StatsSnapshot, prefix: string, name: string) {
  return stats.find((scope) => scope.prefix === prefix)?.counters[name];
}

async function ask(socket: Socket, path: string): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nhost: a.com\r\n\r\n`);
  const closed = once(socket, "close").then(() => {
    throw new Error("the connection was closed without an answer");
  });
  const [bytes] = (await Promise.race([once(socket, "data"), closed])) as [Buffer];
  return bytes.toString("latin1");
}

test("all workers serve the same port, and an edit is in effect in all on the same connections", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const plugin = (body: string) =>
    pluginResource("p", "build/plugins/custom-response.wasm", JSON.stringify({ body, status_code: 201 }));
  const configOf = (port: number) =>
    receive(base(upstream.port, ["p"])(port), "extensionConfig", [plugin("one")]);
  const { gateway, port, config } = await runWorkers(t, configOf);
  const sockets = await openConnections(t, port, manyConnections);
  assert.ok((await ask(sockets[0]!, "/")).endsWith("one"));
  config.set(receive(config.value!, "extensionConfig", [plugin("two")]));
  await gateway.settled();
  for (const socket of sockets) assert.ok((await ask(socket, "/")).endsWith("two"));
  const { stats, listeners } = await gateway.snapshot();
  assert.deepEqual(listeners.test, { port, connectionCount: manyConnections });
  assert.equal(counterOf(stats, "http.test.", "downstream_rq_2xx"), 2 * manyConnections + 1);
  await gateway.control({ kind: "reset-counters" });
  const { stats: after } = await gateway.snapshot();
  assert.equal(counterOf(after, "http.test.", "downstream_rq_2xx"), undefined);
  const [http] = after.filter(({ prefix }) => prefix === "http.test.");
  assert.equal(http?.gauges.downstream_cx_active, manyConnections);
});

/** Ends a worker in a way, and sees that the other's connections go on and that another takes its place. */
async function replaceOne(
  t: TestContext,
  configOf: (port: number) => GatewayConfig,
  options: Partial<GatewayWorkersOptions>,
  end: (running: Awaited<ReturnType<typeof runWorkers>>) => Promise<void> | void,
): Promise<string> {
  const { log, lines } = keepLog();
  const running = await runWorkers(t, configOf, { log, ...options });
  const { port, gateway, workers } = running;
  const sockets = await openConnections(t, port, manyConnections);
  await end(running);
  const line = await until("the end is logged", () => lines.find((each) => each.includes("takes its place")));
  await until("another worker is there", () => workers.length === concurrency + 1);
  await gateway.settled();
  const alive = sockets.filter(({ closed }) => !closed);
  if (concurrency > 1) assert.ok(alive.length > 0);
  assert.ok(alive.length < manyConnections);
  for (const socket of alive) assert.match(await ask(socket, "/"), /^HTTP\/1.1 200/);
  await openConnections(t, port, manyConnections);
  const { stats, listeners } = await gateway.snapshot();
  assert.equal(counterOf(stats, "wasmline.", "workers_replaced"), 1);
  assert.equal(listeners.test?.connectionCount, alive.length + manyConnections);
  return line;
}

test("a worker that ends costs its own connections and is replaced", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  await replaceOne(t, base(upstream.port), {}, ({ workers }) => void workers[0]!.terminate());
});

test("a guest that does not return is named, and its worker replaced", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const loops = guestModule({ callbacks: { on_request_body: ["loop"] } });
  const configOf = (port: number) =>
    receive(base(upstream.port, ["p"])(port), "extensionConfig", [pluginResource("p", loops)]);
  const line = await replaceOne(t, configOf, { stuckMs: 1000 }, async ({ port }) => {
    const socket = connect(port, "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nhost: a.com\r\ncontent-length: 1\r\n\r\nx");
    socket.on("error", () => {});
    await once(socket, "close");
  });
  assert.match(line, /did not return to its event loop within 1000 ms while plugin p ran/);
});

test("a worker without memory is replaced", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const run = "const all = []; for (;;) all.push(Array.from({ length: 1000 }, () => ({})));";
  const line = await replaceOne(t, base(upstream.port), { maxHeapMb: 64 }, ({ workers }) =>
    workers[0]!.postMessage({ run }),
  );
  assert.match(line, /reached heap limit|memory limit/);
});

test("a worker with an error that nobody caught is replaced", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const line = await replaceOne(t, base(upstream.port), {}, ({ workers }) =>
    workers[0]!.postMessage({ run: "throw new Error('not foreseen')" }),
  );
  assert.match(line, /not foreseen/);
});

test("a plugin that does not start is refused before a configuration has it, and costs no connection", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const { gateway, port, workers, trials, config } = await runWorkers(t, base(upstream.port, ["p"]), {
    stuckMs: 1000,
  });
  const configWith = (code: Uint8Array) =>
    receive(config.value!, "extensionConfig", [pluginResource("p", code)]);
  const wanted = new AbortController();
  const start = (code: Uint8Array) =>
    gateway.preparers.extensionConfigs!(configWith(code).extensionConfigs.get("p")!, wanted.signal);
  const refuses = guestModule({ callbacks: { on_configure: [{ give: 0 }] } });
  await assert.rejects(start(refuses), /Unable to create Wasm plugin p: .*configur/);
  await assert.rejects(
    start(Buffer.from("no module")),
    /Unable to create Wasm plugin p: .*broken Wasm module/,
  );
  const hangs = guestModule({ callbacks: { on_configure: ["loop"] } });
  await assert.rejects(start(hangs), /did not return to its event loop within 1000 ms while plugin p ran/);
  await until("plugins can be tried again", () => trials.length === 2);
  const good = guestModule({ callbacks: { on_request_headers: [{ give: 0 }] } });
  await start(good);
  config.set(configWith(good));
  wanted.abort();
  await gateway.settled();
  assert.equal((await get(port, "/", "a.com")).status, 200);
  assert.deepEqual([workers.length, trials.length], [concurrency, 2]);
});

test("a plugin's data, queues and metrics are the same in all workers", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const stores = createStores();
  const configuration = JSON.stringify({
    on_configure: [
      ["size_of", "register_shared_queue", "q"],
      ["keep", "q"],
      ["size_of", "define_metric", 0, "seen"],
      ["keep", "seen"],
    ],
    on_request_headers: [
      ["increment_metric", "$seen", 1],
      ["set_shared_data", "last", "there", 0],
      ["enqueue_shared_queue", "$q", "message"],
    ],
    on_queue_ready: [
      ["dequeue_shared_queue", "$q"],
      ["increment_metric", "$seen", 1000],
    ],
  });
  const probe = pluginResource("p", "build/guests/probe-0-2-1.wasm", configuration);
  const configOf = (port: number) => receive(base(upstream.port, ["p"])(port), "extensionConfig", [probe]);
  const { port } = await runWorkers(t, configOf, { stores });
  await openConnections(t, port, manyConnections);
  // Each message came to the one that registered the queue, whoever wrote it.
  const seen = () => stores.metrics.snapshot().find(({ name }) => name.includes("seen"));
  await until("all messages were read", () => {
    const metric = seen();
    return metric && "value" in metric && metric.value === BigInt(1001 * manyConnections);
  });
  assert.equal(Buffer.from(stores.sharedData("test").get("last")!.value).toString(), "there");
});

test("a request is recorded in whichever worker it comes to, once; a wish ends with its signal", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const plugin = pluginResource("ns.p", "build/plugins/custom-response.wasm", '{"body":"hi","keys":["x-k"]}');
  const configOf = (port: number) =>
    receive(base(upstream.port, ["ns.p"])(port), "extensionConfig", [plugin]);
  const { gateway, port } = await runWorkers(t, configOf);
  const wish = { plugin: "p", host: "a.com", path: "/wanted", headers: [] } as const;
  const never = new AbortController();
  const cancelled = gateway.record(wish, never.signal);
  never.abort();
  await assert.rejects(cancelled, /no request that fits came/);
  let recorded: Recording | undefined;
  const recording = gateway.record(wish, new AbortController().signal).then((found) => {
    recorded = found;
  });
  await get(port, "/other", "a.com");
  await until("it is recorded", async () => {
    await get(port, "/wanted/1", "a.com:80");
    return recorded;
  });
  await recording;
  const { request, local, response, keys } = recorded!;
  assert.deepEqual(
    [request.action, request.behind, response, keys],
    ["pause", undefined, undefined, ["x-k"]],
  );
  assert.deepEqual([local!.status, Buffer.from(local!.body, "base64").toString()], [200, "hi"]);
  assert.ok(request.before.headers.some(([name, value]) => name === ":path" && value === "/wanted/1"));
});

test("what a token bucket lets pass is counted over all workers", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const configOf = (port: number) =>
    receive(base(upstream.port, ["limit"])(port), "extensionConfig", [rateLimitResource("limit", 7)]);
  const { port } = await runWorkers(t, configOf);
  const sockets = await openConnections(t, port, manyConnections);
  // Each has asked once already.
  for (const socket of sockets) assert.match(await ask(socket, "/"), /^HTTP\/1.1 429/);
  const { port: other } = await runWorkers(t, configOf);
  const answers = await Promise.all(Array.from({ length: manyConnections }, () => get(other, "/", "a.com")));
  assert.equal(answers.filter(({ status }) => status === 200).length, 7);
});

test("at the end each worker's requests are answered, no connection is accepted, and all are gone", async (t) => {
  let answer: (() => void) | undefined;
  const upstream = await runUpstream(t, (_, response) => {
    answer = () => response.end("late");
  });
  const { port, stop } = await runWorkers(t, base(upstream.port), { drainMs: 20_000 });
  const pending = get(port, "/", "a.com");
  await until("the request is upstream", () => answer !== undefined);
  const stopped = stop();
  await until("nothing listens", () =>
    get(port, "/", "a.com").then(
      () => false,
      () => true,
    ),
  );
  answer!();
  assert.equal((await pending).body, "late");
  await stopped;
});
