import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { compileModule } from "../../sdk/test/modules.ts";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { createRegistryServer } from "../../src/oci/registry-server.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { handMadeModule } from "../peers/hand-made-module.ts";
import { freePort } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { replaceFile } from "../peers/replace-file.ts";
import { type Answer, get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { ecdsStatus, moduleStatus } from "./status.ts";
import { startSteadyRequests, steadyConnections } from "./steady-requests.ts";

const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com";
const steady = ["one", "two", "three", "four", "five"] as const;
let files: SeedFiles;
let up: Program;
let layout: string;
let awayPort: number;
let faulty: Buffer;

/** A way to fail: what of the plugin is different from one that works, and the reason that is to be shown. */
interface Failure {
  readonly what: string;
  readonly change: Change;
  readonly reason: RegExp;
  /** Makes what is missing be there, as far as the plugin need not be edited for it. */
  readonly mend?: (plugin: string) => Promise<unknown>;
}

interface Change {
  readonly config?: object;
  readonly tag?: string;
  readonly registry?: () => string;
  readonly failStrategy?: string;
}

const failures: readonly Failure[] = [
  {
    what: "traps at its start",
    change: { config: { trap: true } },
    reason: /Unable to create Wasm plugin .*: plugin failed: trapped at start.*unreachable/,
  },
  {
    what: "refuses its configuration",
    change: { config: { refuse: "no such colour" } },
    reason: /Unable to create Wasm plugin .*: configuration: .*no such colour/,
  },
  {
    what: "imports a function that the gateway does not have",
    change: { tag: "importing" },
    reason: /:importing imports .*: env\.proxy_not_there/,
  },
  {
    what: "has an image that is not there",
    change: { tag: "late" },
    reason: /:late: 404 .*MANIFEST_UNKNOWN/,
    mend: (plugin) => publish(plugin, "late"),
  },
  {
    what: "has a registry that is away",
    change: { registry: () => `127.0.0.1:${awayPort}` },
    reason: /127\.0\.0\.1:\d+.*(ECONNREFUSED|refused)/,
    mend: async () => {
      const back = await createRegistryServer({ layouts: [layout], port: awayPort });
      after(() => back.close());
    },
  },
];

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    layout = join(files.dataDir, "..", "images");
    awayPort = await freePort();
    faulty = await readFile(await compileModule("sdk/fixture/faulty.ts", "build/test/faulty.wasm"));
    for (const file of ["custom-response.yaml", "chain.yaml"]) await rm(join(files.dir, file));
    for (const plugin of steady) {
      await publish(plugin, "1.0.0");
      await put(plugin);
    }
    up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout]);
    await up.waitFor("stdout", /^ready .* 5 plugins in effect$/m);
  });
  after(async () => {
    await up.stop();
    await files.close();
  });

  for (const [index, { what, change, reason, mend }] of failures.entries()) {
    const victim = steady[index]!;

    test(`a new plugin that ${what}: requests pass it by, the others do not notice, and mended it is in effect`, async () => {
      const name = `new-${victim}`;
      await publish(name, "1.0.0");
      if (change.tag === "importing") await publishImporting(name);
      await whileServing(steady, async () => {
        await put(name, change);
        await assertNamed(name, "allowing", reason);
        assert(!isMarked(await ask(), name));
        if (mend) await mend(name);
        else await put(name);
        await until("it is in effect", async () => isMarked(await ask(), name));
        await until("the pages say so", async () => {
          await assertWorks(name);
          return true;
        });
      });
      await remove(name);
    });

    test(`an edit after which a plugin ${what}: all five stay in effect, and mended the edit is`, async () => {
      if (change.tag === "importing") await publishImporting(victim);
      await whileServing(steady, async () => {
        const broken = { ...change, config: { ...change.config, edited: true } };
        if (change.registry) awayPort = await freePort();
        await put(victim, broken);
        await assertNamed(victim, "last-good", reason);
        await heal(victim);
      });
    });
  }

  test("a plugin that traps in a request: it is passed by, the others do not notice, and an edit brings it back", async () => {
    const others = steady.filter((name) => name !== "three");
    const trapAndHeal = async () => {
      // The embedded gateway lets pass the very request in which a plugin traps that fails open.
      assert.equal((await ask({ "x-trap": "x-three" })).status, gateway === "envoy" ? 503 : 200);
      const trap = await until(
        "the trap is shown",
        async () => (await moduleStatus(files.offset, "three"))?.lastTrap,
      );
      assert.match(
        trap.reason,
        gateway === "envoy"
          ? /proxy_on_request_headers failed: .*unreachable; plugin failed: trapped in a request/
          : /unreachable.*; plugin failed: trapped in a request/,
      );
      assert(!isMarked(await ask(), "three"));
      const status = await until("discovery knows", async () => {
        const now = await ecdsStatus(files.offset, "three");
        return now?.state === "ERROR" ? now : undefined;
      });
      assert.equal(status.error, `higress-system.three: ${trap.reason}`);
      for (const other of others) await assertWorks(other);
      for (const other of others)
        assert.equal((await moduleStatus(files.offset, other))?.lastTrap, undefined);
      await heal("three", { config: { edited: true } });
    };
    // Also where a plugin fails open, Envoy fails the streams that its VM was in when it trapped: one of each connection.
    await whileServing(others, trapAndHeal, gateway === "envoy" ? steadyConnections : 0);
    await whileServing(steady, async () => assertWorks("three"));
  });

  test("a new FAIL_CLOSE plugin that refuses its configuration denies what comes to it, until it is mended", async () => {
    await publish("closed", "1.0.0");
    await put("closed", { failStrategy: "FAIL_CLOSE", config: { refuse: "no such colour" } });
    await assertNamed("closed", "denying", /no such colour/);
    const denied = await ask();
    assert.deepEqual([denied.status, denied.body], [403, "RBAC: access denied"]);
    await heal("closed", { failStrategy: "FAIL_CLOSE" });
    await whileServing([...steady, "closed"], async () => assertWorks("closed"));
  });

  test("a plugin that is removed and, before the old listener has gone, added with a change has that change in effect", async () => {
    await whileServing(["one", "two", "four", "five"], async () => {
      await remove("three");
      await put("three", { config: { mark: "x-three-again" } });
      await until("the change is in effect", async () => isMarked(await ask(), "three-again"));
      await assertWorks("three");
    });
  });

  test("a plugin that is removed and, before the old listener has gone, comes back broken, is a new one", async () => {
    const closed = { failStrategy: "FAIL_CLOSE" };
    await put("three", closed);
    await until("it fails closed", async () => isMarked(await ask(), "three"));
    await remove("three");
    assert.equal(await moduleStatus(files.offset, "three"), undefined);
    await put("three", { ...closed, config: { refuse: "no such colour" } });
    await assertNamed("three", "denying", /no such colour/);
    assert.equal((await ask()).status, 403);
    await heal("three", closed);
  });
});

/** Puts the faulty plugin into the layout, with a module of its own: plugins with the same code share a VM. */
async function publish(plugin: string, tag: string): Promise<void> {
  const section = [0, plugin.length + 1, plugin.length, ...Buffer.from(plugin)];
  const wasm = Buffer.concat([faulty, Buffer.from(section)]);
  await writePluginImage(layout, { repository: `plugins/${plugin}`, tag, wasm });
}

/** Writes a plugin that marks responses with `x-NAME: yes`, but for what is changed of it. */
async function put(name: string, change: Change = {}): Promise<void> {
  const { config, tag = "1.0.0", registry: at = () => registry, failStrategy = "FAIL_OPEN" } = change;
  const spec = {
    phase: "AUTHN",
    priority: 100 + name.length,
    failStrategy,
    defaultConfig: { mark: `x-${name}`, ...config },
    url: `oci://${at()}/plugins/${name}:${tag}`,
  };
  const metadata = { name, namespace: "higress-system" };
  const plugin = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
  await replaceFile(join(files.dir, `${name}.yaml`), JSON.stringify(plugin));
}

async function remove(name: string): Promise<void> {
  await rm(join(files.dir, `${name}.yaml`));
  await until(`${name} is gone`, async () => !isMarked(await ask(), name));
}

const ask = (headers: Record<string, string> = {}): Promise<Answer> =>
  get(files.trafficPort, "/", "other.com", undefined, headers);
const isMarked = ({ headers }: Answer, plugin: string) => headers[`x-${plugin}`] === "yes";

/** Sends requests while `run` runs. Each must be answered, but for `mayFail` of them, and must have passed all these plugins. */
async function whileServing(
  plugins: readonly string[],
  run: () => Promise<void>,
  mayFail = 0,
): Promise<void> {
  let failed = 0;
  const requests = startSteadyRequests(files.trafficPort, "other.com", (answer) => {
    if (answer.status === 503 && ++failed <= mayFail) return "";
    if (answer.status !== 200) return `${answer.status} ${answer.body}`;
    const missed = plugins.filter((plugin) => !isMarked(answer, plugin));
    return missed.length > 0 ? `not marked by ${missed.join(", ")}` : "";
  });
  try {
    await run();
  } finally {
    await requests.finish();
  }
}

/** Waits until both status pages name a plugin with the reason, and no other with any. */
async function assertNamed(plugin: string, state: string, reason: RegExp): Promise<void> {
  await until(`${plugin} is ${state}`, async () => {
    const module = await moduleStatus(files.offset, plugin);
    assert.equal(module?.state, state);
    assert.match(module.error, reason);
    const status = await ecdsStatus(files.offset, plugin);
    assert.equal(status?.state, "ERROR");
    assert.match(status.error, reason);
    assert(status.error.startsWith(`higress-system.${plugin}: `), status.error);
    return true;
  });
  for (const other of steady.filter((name) => name !== plugin)) await assertWorks(other);
}

async function assertWorks(plugin: string): Promise<void> {
  const module = await moduleStatus(files.offset, plugin);
  const status = await ecdsStatus(files.offset, plugin);
  assert.deepEqual([module?.state, module?.error, status?.state], ["ready", "", "SYNCED"], plugin);
}

/** Edits a plugin to one that works, and waits until it does. */
async function heal(plugin: string, change: Change = {}): Promise<void> {
  await put(plugin, change);
  await until(`${plugin} works`, async () => {
    await assertWorks(plugin);
    return isMarked(await ask(), plugin);
  });
}

async function publishImporting(plugin: string): Promise<void> {
  const wasm = handMadeModule({ imports: ["env.proxy_log", "env.proxy_not_there"] });
  await writePluginImage(layout, { repository: `plugins/${plugin}`, tag: "importing", wasm });
}
