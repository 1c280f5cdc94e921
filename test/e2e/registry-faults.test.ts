import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type DockerRegistry, startDockerRegistry, testerHtpasswd } from "../peers/docker-registry.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { pushImage } from "../peers/push-image.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { largeModule } from "../peers/tiny-module.ts";
import { until } from "../peers/until.ts";
import { type WatchedRegistry, watchRegistry } from "../peers/watched-registry.ts";
import { downstream, startLoad } from "./load.ts";
import { ecdsStatus, getJson, listenerChanges, moduleStatus } from "./status.ts";

const built = fileURLToPath(new URL("../../build/plugins", import.meta.url));
const plugins = ["custom-response", "easy-logger", "key-auth", "transformer"];
/** What the plugins of these tests may take on disk, the four of the chapter and one more of custom-response. */
const cacheBytes = 330_000;

let files: SeedFiles;
let up: Program;
let behind: DockerRegistry;
let registry: WatchedRegistry;

/** What the agent's user knows of the registry. */
function logIn(password: string): Promise<void> {
  const auth = Buffer.from(`tester:${password}`).toString("base64");
  return writeFile(
    join(files.dataDir, "..", "config.json"),
    JSON.stringify({ auths: { [registry.host]: { auth } } }),
  );
}

function push(plugin: string, tag: string, layer: Uint8Array) {
  return pushImage(behind.host, { repository: `plugins/${plugin}`, tag, layer });
}

/** Pushes custom-response with a section that makes it another module. */
async function pushNext(tag: string): Promise<void> {
  const wasm = await readFile(join(built, "custom-response.wasm"));
  await push("custom-response", tag, Buffer.concat([wasm, largeModule(tag, 1000).subarray(8)]));
}

/** One edit: the plugin from this tag on, which answers with the tag's name. */
function editTo(tag: string): Promise<void> {
  return files.edit("custom-response.yaml", (text) =>
    text.replace(/key1=[\w.-]+/, `key1=${tag}`).replace(/custom-response:[\w.-]+/, `custom-response:${tag}`),
  );
}

const status = () => moduleStatus(files.offset, "custom-response");

/** Something that is wrong with the registry while the plugin is edited, and what makes it well. */
interface Fault {
  readonly tag: string;
  readonly begin: () => Promise<unknown>;
  readonly error: RegExp;
  readonly heal: () => Promise<unknown>;
}

const faults: Readonly<Record<string, Fault>> = {
  "is killed": {
    tag: "killed",
    begin: async () => {
      await pushNext("killed");
      await behind.kill();
    },
    error: /no connection to 127\.0\.0\.1/,
    heal: () => behind.restart(),
  },
  "takes the credentials away": {
    tag: "revoked",
    begin: async () => {
      await pushNext("revoked");
      await behind.kill();
      await behind.restart({ htpasswd: testerHtpasswd.replace("tester", "another") });
    },
    error: /401 Unauthorized/,
    heal: async () => {
      await behind.kill();
      await behind.restart({ htpasswd: testerHtpasswd });
    },
  },
  "wants other credentials": {
    tag: "expired",
    begin: async () => {
      await behind.kill();
      await behind.restart();
      await pushNext("expired");
      await behind.kill();
      await behind.restart({ htpasswd: testerHtpasswd });
      await logIn("what it was before");
    },
    error: /401 Unauthorized.*refused; check them/,
    heal: () => logIn("open-sesame"),
  },
  "has something else under the tag": {
    tag: "moving",
    begin: async () => {
      await behind.kill();
      await behind.restart();
      await push("custom-response", "moving", largeModule("no plugin", 1000));
    },
    error: /is no proxy-wasm plugin that Envoy can load/,
    heal: () => pushNext("moving"),
  },
};

onEachGateway((gateway) => {
  before(async () => {
    behind = await startDockerRegistry();
    registry = await watchRegistry(behind.host);
    for (const plugin of plugins) await push(plugin, "1.0.0", await readFile(join(built, `${plugin}.wasm`)));
    files = await layOutSeed(gateway);
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    await logIn("open-sesame");
    const own = ["--layout", "--registry-mirror"];
    const flags = files.flags.filter(
      (flag, at) => !own.includes(flag) && !own.includes(files.flags[at - 1] ?? ""),
    );
    up = startWasmline(
      [
        ...["up", "-f", files.dir, ...flags, "--module-cache-bytes", String(cacheBytes)],
        ...["--registry-mirror", `higress-registry.cn-hangzhou.cr.aliyuncs.com=${registry.host}`],
      ],
      { DOCKER_CONFIG: join(files.dataDir, "..") },
    );
    await up.waitFor("stdout", /^ready .*4 plugins in effect$/m);
  });
  after(async () => {
    await up?.stop();
    await files?.close();
    await registry?.stop();
    await behind?.stop();
  });

  for (const [what, { tag, begin, error, heal }] of Object.entries(faults)) {
    test(`a registry that ${what}, under load: the last good module answers, then the new one, and no request fails`, async () => {
      const own = new Agent({ keepAlive: true, maxSockets: 1 });
      const answer = async () => (await get(files.trafficPort, "/", "other.com", own)).headers.key1;
      const listeners = await listenerChanges(files.adminPort);
      const served = await answer();
      const load = await startLoad(files, "other.com", 1);
      await begin();
      await editTo(tag);
      const failed = await until("it was tried twice", async () => {
        const now = await status();
        return now?.state === "last-good" && now.attempts >= 2 ? now : undefined;
      });
      assert.match(failed.error, error);
      assert.equal(await answer(), served);
      assert.equal((await ecdsStatus(files.offset, "custom-response"))?.state, "ERROR");
      await heal();
      await until("the new module answers", async () => (await answer()) === tag, 60_000);
      await until(
        "discovery knows",
        async () => (await ecdsStatus(files.offset, "custom-response"))?.state === "SYNCED",
      );
      const connections = await downstream(files.adminPort, files.trafficPort);
      const report = await load.finish();
      own.destroy();

      assert.deepEqual(report.failures, []);
      assert(report.requests > 0);
      const { total, destroyed, active } = load.connections;
      assert.deepEqual(connections, { total, destroyed, active });
      assert.deepEqual(await listenerChanges(files.adminPort), listeners);
      assert(!up.stderr().includes("open-sesame"));
    });
  }

  test("the cache has stayed as small as it may be, and says so", async () => {
    const { body } = await get(15020 + files.offset, "/stats/prometheus");
    const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(body)?.[1]);
    assert.equal(value("wasmline_module_cache_max_bytes"), cacheBytes);
    assert(value("wasmline_module_cache_bytes") <= cacheBytes, body);
    assert(value("wasmline_module_received_bytes_total") > cacheBytes);
    assert.match(body, /^wasmline_module_pull_seconds_count\{result="success"\} 8$/m);
    const { modules } = await getJson<{ modules: unknown[] }>(15020 + files.offset, "/debug/modules");
    assert(modules.length <= 5, JSON.stringify(modules));
  });
});
