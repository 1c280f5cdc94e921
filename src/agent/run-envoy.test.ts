import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { requirePeers } from "../../test/peers/peers.ts";
import { freePort } from "../../test/peers/ports.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import type { JsonObject } from "../resource/types.ts";
import { createWatchable, firstValue } from "../watchable.ts";
import { activeConnections, adminGet, adminRequest, ready } from "./envoy-admin.ts";
import { type EnvoyBootstrap, envoyBootstrap } from "./envoy-bootstrap.ts";
import { gatewayNode } from "./node.ts";
import { type EnvoyState, retryDelay, runEnvoy } from "./run-envoy.ts";

const dir = mkdtempSync(join(tmpdir(), "wasmline-envoy-"));
const patience = AbortSignal.timeout(60_000);
let envoyPath: string;
let upstream: Server;
/** Requests that the upstream has and does not answer until the test does. */
const held = createWatchable<{ request: IncomingMessage; response: ServerResponse }>();

before(async () => {
  envoyPath = (await requirePeers()).envoy;
  upstream = createServer((request, response) => {
    if (request.url === "/held") held.set({ request, response });
    else response.end("at once");
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
});

after(() => {
  upstream.closeAllConnections();
  upstream.close();
  rmSync(dir, { recursive: true });
});

function isAlive(pid: number): boolean {
  try {
    // A zombie is gone, only its parent has not looked yet.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** The bootstrap as it is, with nobody at the socket. */
function bootstrapOf(adminPort: number): EnvoyBootstrap {
  const xdsSocket = join(dir, "nobody.sock");
  return envoyBootstrap({
    node: gatewayNode(),
    xdsSocket,
    adminAddress: "127.0.0.1",
    adminPort,
    delta: true,
  });
}

/** With a listener that forwards to the upstream, in place of what would come by xDS. */
function staticBootstrap(adminPort: number, port: number): EnvoyBootstrap {
  const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`;
  const loopback = (port_value: number): JsonObject => ({
    socket_address: { address: "127.0.0.1", port_value },
  });
  const endpoint = { address: loopback((upstream.address() as AddressInfo).port) };
  const connectionManager: JsonObject = {
    "@type": type("network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "test",
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "up" } }] },
      ],
    },
    http_filters: [
      { name: "envoy.filters.http.router", typed_config: { "@type": type("http.router.v3.Router") } },
    ],
  };
  const filter = { name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager };
  return {
    ...bootstrapOf(adminPort),
    dynamic_resources: {},
    static_resources: {
      listeners: [{ name: "test", address: loopback(port), filter_chains: [{ filters: [filter] }] }],
      clusters: [
        {
          name: "up",
          type: "STATIC",
          load_assignment: { cluster_name: "up", endpoints: [{ lb_endpoints: [{ endpoint }] }] },
        },
      ],
    },
  };
}

interface RunningTest {
  readonly state: ReturnType<typeof createWatchable<EnvoyState>>;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Ends with the test at the latest, also if that fails. */
function start(t: TestContext, bootstrap: EnvoyBootstrap, drainMs = 30_000, path = envoyPath): RunningTest {
  const state = createWatchable<EnvoyState>();
  const stop = new AbortController();
  const dataDir = mkdtempSync(join(dir, "data-"));
  const onState = (value: EnvoyState) => state.set(value);
  const options = { envoyPath: path, bootstrap, dataDir, concurrency: 1, log: silentLog, drainMs, onState };
  const done = runEnvoy({ ...options, signal: stop.signal });
  t.after(async () => {
    held.value?.response.destroy();
    stop.abort();
    await done.catch(() => {});
  });
  return { state, stop, done };
}

async function runningPid(state: RunningTest["state"], restarts = 0): Promise<number> {
  const found = await firstValue(state, (s) => s.phase === "running" && s.restarts === restarts, patience);
  return found.phase === "running" ? found.pid : assert.fail();
}

interface Answer {
  readonly response: IncomingMessage;
  readonly body: string;
  /** Names the connection. */
  readonly localPort: number | undefined;
}

async function get(port: number, path: string, agent: Agent): Promise<Answer> {
  const call = request({ host: "127.0.0.1", port, path, agent }).end();
  const [response] = (await once(call, "response")) as [IncomingMessage];
  const { localPort } = response.socket;
  let body = "";
  for await (const chunk of response) body += chunk;
  return { response, body, localPort };
}

test("with nobody at the xDS socket Envoy answers at its admin interface that it is not ready", async (t) => {
  const admin = { address: "127.0.0.1", port: await freePort() };
  const { state, stop, done } = start(t, bootstrapOf(admin.port));
  const pid = await runningPid(state);
  await until("the admin interface answers", () => adminRequest(admin, "/ready"));
  assert.deepEqual(await adminRequest(admin, "/ready"), { status: 503, body: "PRE_INITIALIZING\n" });
  assert.equal(await ready(admin), false);
  const { configs } = JSON.parse(await adminGet(admin, "/config_dump")) as { configs: JsonObject[] };
  const { bootstrap } = configs[0] as { bootstrap: { node: { id: string } } };
  assert.equal(bootstrap.node.id, gatewayNode().id);
  await assert.rejects(adminGet(admin, "/no-such-page"), {
    code: "envoy",
    message: /answered 404, expected 200/,
  });
  stop.abort();
  await done;
  assert.ok(!isAlive(pid));
  assert.equal(state.value?.phase, "stopped");
  await assert.rejects(adminGet(admin, "/ready"), { code: "envoy", message: /ECONNREFUSED/ });
});

test("an Envoy that is killed comes back", async (t) => {
  const [adminPort, port] = [await freePort(), await freePort()];
  const admin = { address: "127.0.0.1", port: adminPort };
  const { state, stop, done } = start(t, staticBootstrap(adminPort, port));
  const first = await runningPid(state);
  await until("Envoy is ready", () => ready(admin));

  process.kill(first, "SIGKILL");
  const crashed = await firstValue(state, (s) => s.phase === "crashed", patience);
  assert.ok(
    crashed.phase === "crashed" && crashed.reason.startsWith("signal SIGKILL"),
    JSON.stringify(crashed),
  );
  const second = await runningPid(state, 1);
  assert.notEqual(second, first);
  await until("Envoy is ready", () => ready(admin));
  const agent = new Agent();
  assert.equal((await get(port, "/", agent)).body, "at once");

  stop.abort();
  await done;
  assert.ok(!isAlive(first) && !isAlive(second));
});

test("a request in flight is answered while Envoy drains, and its connection is closed after it", async (t) => {
  const [adminPort, port] = [await freePort(), await freePort()];
  const admin = { address: "127.0.0.1", port: adminPort };
  const { state, stop, done } = start(t, staticBootstrap(adminPort, port));
  const pid = await runningPid(state);
  await until("Envoy is ready", () => ready(admin));

  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const earlier = await get(port, "/", agent);
  assert.notEqual(earlier.response.headers.connection, "close");
  assert.equal(await activeConnections(admin), 1);
  const inFlight = get(port, "/held", agent);
  const { response } = await firstValue(held, undefined, patience);

  stop.abort();
  await firstValue(state, (s) => s.phase === "draining", patience);
  await until("Envoy drains", async () => (await adminRequest(admin, "/ready")).body === "DRAINING\n");
  assert.ok(isAlive(pid));
  response.end("late, but whole");
  const late = await inFlight;
  assert.deepEqual([late.response.statusCode, late.body], [200, "late, but whole"]);
  assert.equal(late.response.headers.connection, "close");
  await done;
  assert.equal(late.localPort, earlier.localPort, "it was the same connection");
  assert.ok(!isAlive(pid));
  agent.destroy();
});

test("a connection that does not go is cut when the drain time is over", async (t) => {
  const [adminPort, port] = [await freePort(), await freePort()];
  const { state, stop, done } = start(t, staticBootstrap(adminPort, port), 300);
  const pid = await runningPid(state);
  await until("Envoy is ready", () => ready({ address: "127.0.0.1", port: adminPort }));
  const agent = new Agent({ keepAlive: true });
  const call = request({ host: "127.0.0.1", port, path: "/held", agent }).end();
  const cut = once(call, "error");
  call.on("response", () => assert.fail("the upstream never answers"));
  await firstValue(held, ({ response }) => !response.writableEnded, patience);
  stop.abort();
  await done;
  assert.match(String((await cut).at(0)), /socket hang up|ECONNRESET/);
  assert.ok(!isAlive(pid));
});

test("a bootstrap that Envoy refuses is reported with Envoy's words, and stopping ends the retries", async (t) => {
  const bootstrap = { ...bootstrapOf(await freePort()), bogus: 1 };
  const { state, stop, done } = start(t, bootstrap);
  const crashed = await firstValue(state, (s) => s.phase === "crashed", patience);
  assert.ok(crashed.phase === "crashed");
  assert.match(crashed.reason, /^status 1: .*'bogus'.*unknown fields/);
  stop.abort();
  await done;
});

test("an Envoy that is not there fails at once", async (t) => {
  const { done } = start(t, bootstrapOf(1), 0, join(dir, "none"));
  await assert.rejects(done, { code: "envoy", message: /none is no executable file/ });
});

test("retries wait 1 s at first and at most 30 s, a quarter more or less", () => {
  for (const [failures, ms] of [
    [1, 1000],
    [2, 2000],
    [5, 16_000],
    [6, 30_000],
    [1_000_000, 30_000],
  ] as const) {
    const delays = Array.from({ length: 200 }, () => retryDelay(failures));
    assert.ok(Math.min(...delays) >= 0.75 * ms && Math.max(...delays) <= 1.25 * ms, String(failures));
    assert.ok(new Set(delays).size > 10, "they are spread");
  }
});

/** Runs an Envoy in another program, which prints Envoy's pid. */
async function startOwner(adminPort: number): Promise<{ owner: ChildProcess; pid: number }> {
  const code = `
    import { runEnvoy } from ${JSON.stringify(new URL("run-envoy.ts", import.meta.url).href)};
    import { silentLog } from ${JSON.stringify(new URL("../log.ts", import.meta.url).href)};
    process.on("SIGTERM", () => process.exit(0));
    const onState = ({ pid }) => console.log(pid);
    const { options } = JSON.parse(process.env.TEST_OPTIONS);
    await runEnvoy({ ...options, log: silentLog, signal: new AbortController().signal, onState });`;
  const dataDir = mkdtempSync(join(dir, "data-"));
  const options = { envoyPath, bootstrap: bootstrapOf(adminPort), dataDir, concurrency: 1 };
  const owner = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    env: { ...process.env, TEST_OPTIONS: JSON.stringify({ options }) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(owner.stdout!, "data", { signal: patience })) as [Buffer];
  return { owner, pid: Number(line.toString()) };
}

test("Envoy does not outlive its owner, whether that exits or is killed", async () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const admin = { address: "127.0.0.1", port: await freePort() };
    const { owner, pid } = await startOwner(admin.port);
    await until("the admin interface answers", () => adminRequest(admin, "/ready"));
    assert.ok(isAlive(pid));
    owner.kill(signal);
    await until(`Envoy is gone after ${signal}`, () => !isAlive(pid));
  }
});
