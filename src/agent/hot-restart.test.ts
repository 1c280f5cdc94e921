import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { requirePeers } from "../../test/peers/peers.ts";
import { freePort } from "../../test/peers/ports.ts";
import { startProgram } from "../../test/peers/program.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { createWatchable, firstValue } from "../watchable.ts";
import { serverInfo } from "./envoy-admin.ts";
import { type EnvoyBootstrap, envoyBootstrap } from "./envoy-bootstrap.ts";
import { gatewayNode } from "./node.ts";
import { type EnvoyState, type RestartRequest, type RunningState, runEnvoy } from "./run-envoy.ts";

const dir = mkdtempSync(join(tmpdir(), "wasmline-hot-"));
let envoy: string;
let wrk: string;

before(async () => {
  ({ envoy, wrk } = await requirePeers());
});
after(() => rmSync(dir, { recursive: true }));

/** Answers every request itself, so that a lost one is Envoy's. */
function answering(adminPort: number, port: number): EnvoyBootstrap {
  const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`;
  const routes = [
    { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "served" } } },
  ];
  const connectionManager = {
    "@type": type("network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "test",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [
      { name: "envoy.filters.http.router", typed_config: { "@type": type("http.router.v3.Router") } },
    ],
  };
  const filter = { name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager };
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const base = envoyBootstrap({
    ...{ node: gatewayNode(), xdsSocket: join(dir, "nobody.sock") },
    ...{ adminAddress: "127.0.0.1", adminPort, delta: true },
  });
  return {
    ...base,
    dynamic_resources: {},
    static_resources: { listeners: [{ name: "test", address, filter_chains: [{ filters: [filter] }] }] },
  };
}

interface Gateway {
  readonly adminPort: number;
  readonly port: number;
  /** What Envoy is started as. */
  readonly path: string;
  readonly overridesPath: string;
  readonly now: () => RunningState;
  /** Puts a program in the place of Envoy, as a package would: by another file. */
  install(script: string): void;
  /** Asks for a restart and waits for what comes of it. */
  restart(): Promise<RunningState>;
  readonly stop: () => Promise<void>;
}

async function startGateway(t: TestContext, takeOverMs = 30_000): Promise<Gateway> {
  const own = mkdtempSync(join(dir, "gateway-"));
  const [adminPort, port] = [await freePort(), await freePort()];
  const [path, overridesPath] = [join(own, "envoy"), join(own, "overrides.yaml")];
  symlinkSync(envoy, path);
  writeFileSync(overridesPath, "");
  const state = createWatchable<EnvoyState>();
  const requests = createWatchable<RestartRequest>();
  const stop = new AbortController();
  const done = runEnvoy({
    ...{
      envoyPath: path,
      bootstrap: answering(adminPort, port),
      overridesPath,
      dataDir: own,
      concurrency: 1,
    },
    ...{ log: silentLog, drainMs: 1000, takeOverMs, signal: stop.signal, restart: requests },
    onState: (value) => state.set(value),
  });
  t.after(async () => {
    stop.abort();
    await done.catch(() => {});
  });
  await until("Envoy serves", async () => (await get(port)).body === "served");
  const now = () =>
    state.value?.phase === "running" ? state.value : assert.fail(JSON.stringify(state.value));
  return {
    ...{ adminPort, port, path, overridesPath, now },
    install(script) {
      writeFileSync(`${path}.new`, `#!/bin/sh\n${script}\n`);
      chmodSync(`${path}.new`, 0o755);
      renameSync(`${path}.new`, path);
    },
    async restart() {
      const began = firstValue(state, (s) => s.phase === "running" && s.successor !== undefined);
      requests.set({ reason: "test" });
      await began;
      await firstValue(state, (s) => s.phase === "running" && s.successor === undefined);
      return now();
    },
    async stop() {
      stop.abort();
      await done;
    },
  };
}

test("what an agent that was killed left in memory is removed", async (t) => {
  const own = mkdtempSync(join(dir, "killed-"));
  const baseId = String(1e10 + Math.floor(Math.random() * 1e9));
  const memory = `/dev/shm/envoy_shared_memory_${baseId}0`;
  writeFileSync(memory, "");
  t.after(() => rmSync(memory, { force: true }));
  writeFileSync(join(own, "envoy-base-id"), baseId);
  const stop = new AbortController();
  const running = createWatchable<EnvoyState>();
  const done = runEnvoy({
    ...{ envoyPath: envoy, bootstrap: answering(await freePort(), await freePort()), dataDir: own },
    ...{ concurrency: 1, log: silentLog, drainMs: 0, signal: stop.signal },
    onState: (value) => running.set(value),
  });
  await firstValue(running, ({ phase }) => phase === "running");
  stop.abort();
  await done;
  assert.equal(existsSync(memory), false);
});

/** Load with keep-alive and without; what failed of it. */
async function underLoad(
  port: number,
  run: () => Promise<void>,
): Promise<{ requests: number; failures: string[] }> {
  const flags = ["-t1", "-d600s", "--timeout", "30s"];
  const url = `http://127.0.0.1:${port}/`;
  const loads = [
    startProgram(wrk, [...flags, "-c32", url]),
    startProgram(wrk, [...flags, "-c4", "-H", "Connection: close", url]),
  ];
  await run();
  await Promise.all(loads.map((load) => load.stop("SIGINT")));
  const texts = loads.map((load) => load.stdout());
  const requests = texts.map((text) => Number(/^\s*(\d+) requests in/m.exec(text)?.[1]));
  const failures = texts.flatMap((text) => text.split("\n").filter((line) => /errors|non-2xx/i.test(line)));
  return { requests: Math.min(...requests), failures };
}

test("another binary takes over under load, twice: no request fails, and the old ones end", async (t) => {
  const gateway = await startGateway(t);
  const first = gateway.now();
  const { requests, failures } = await underLoad(gateway.port, async () => {
    for (const epoch of [1, 2]) {
      gateway.install(`exec ${envoy} "$@" # ${epoch}`);
      const state = await gateway.restart();
      assert.deepEqual([state.epoch, state.restarts, state.failure], [epoch, epoch, undefined]);
    }
  });
  assert.deepEqual(failures, []);
  assert.ok(requests > 0);
  await until("the first is gone", () => !isAlive(first.pid));
  await gateway.stop();
  assertNothingLeft(gateway);
});

for (const [what, script, pattern] of [
  [
    "a program that is no Envoy",
    "echo no Envoy at all >&2; exit 3",
    /ended with status 3 and said: no Envoy at all/,
  ],
  [
    "one that only takes its bootstrap",
    `case "$*" in *validate*) exit 0;; esac; exit 4`,
    /ended \(status 4\)/,
  ],
  [
    "one that does not come to serve",
    `case "$*" in *validate*) exit 0;; esac; exec sleep 600`,
    /it took longer than 3000 ms/,
  ],
] as const)
  test(`${what} changes nothing: the old one serves on, and can still be replaced`, async (t) => {
    const gateway = await startGateway(t, 3000);
    const before = gateway.now();
    const { failures } = await underLoad(gateway.port, async () => {
      gateway.install(script);
      const { pid, failure } = await gateway.restart();
      assert.equal(pid, before.pid);
      assert.match(failure ?? "", pattern);
    });
    assert.deepEqual(failures, []);
    assert.equal((await get(gateway.adminPort, "/ready")).status, 200);
    gateway.install(`exec ${envoy} "$@"`);
    const { epoch, failure } = await gateway.restart();
    assert.deepEqual([epoch, failure], [1, undefined]);
  });

test("changed settings of the bootstrap come into effect without a lost request", async (t) => {
  const gateway = await startGateway(t);
  const { failures } = await underLoad(gateway.port, async () => {
    writeFileSync(gateway.overridesPath, "node: {cluster: changed}");
    assert.equal((await gateway.restart()).failure, undefined);
  });
  assert.deepEqual(failures, []);
  assert.equal(await clusterOf(gateway), "changed");
});

test("settings that Envoy does not take change nothing, not even after a crash", async (t) => {
  const gateway = await startGateway(t);
  writeFileSync(gateway.overridesPath, "node: {cluster: good}");
  await gateway.restart();
  writeFileSync(gateway.overridesPath, "node: {no_such_field: 1}");
  const { pid, failure } = await gateway.restart();
  assert.match(failure ?? "", /no_such_field/);
  process.kill(pid, "SIGKILL");
  await until(
    "another Envoy serves",
    async () => (await clusterOf(gateway)) === "good" && gateway.now().pid !== pid,
  );
  assert.deepEqual([gateway.now().epoch, gateway.now().restarts], [0, 2]);
});

test("one that fails after it got the admin interface costs no request: another of the old kind takes over", async (t) => {
  const gateway = await startGateway(t);
  const first = gateway.now();
  const nowhere = { socket_address: { address: "192.0.2.1", port_value: 1 } };
  const listeners = [{ name: "nowhere", address: nowhere, filter_chains: [{ filters: [] }] }];
  const { failures } = await underLoad(gateway.port, async () => {
    writeFileSync(gateway.overridesPath, JSON.stringify({ static_resources: { listeners } }));
    // What the first one runs is at its path no more.
    gateway.install(`exec ${envoy} "$@"`);
    const { pid, epoch, failure } = await gateway.restart();
    assert.match(failure ?? "", /cannot bind '192\.0\.2\.1:1'/);
    assert.notEqual(pid, first.pid);
    assert.equal(epoch, 1);
  });
  assert.deepEqual(failures, []);
  assert.equal((await get(gateway.adminPort, "/ready")).status, 200);
});

test("an Envoy that crashes while its predecessor drains is started anew", async (t) => {
  const gateway = await startGateway(t);
  const { pid } = await gateway.restart();
  process.kill(pid, "SIGKILL");
  await until(
    "another serves",
    async () => (await get(gateway.port)).body === "served" && gateway.now().pid !== pid,
  );
  assert.deepEqual([gateway.now().epoch, gateway.now().restarts], [0, 2]);
});

async function clusterOf({ adminPort }: Gateway): Promise<string | undefined> {
  const info = (await serverInfo({ address: "127.0.0.1", port: adminPort })) as {
    node?: { cluster?: string };
  };
  return info.node?.cluster;
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Envoy itself leaves a file of its line in memory. */
function assertNothingLeft({ path }: Gateway): void {
  const baseId = readFileSync(join(path, "..", "envoy-base-id"), "utf8").trim();
  assert.deepEqual(
    readdirSync("/dev/shm").filter((name) => name.endsWith(`_${baseId}0`)),
    [],
  );
}
