import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import {
  type DockerRegistry,
  startDockerRegistry,
  testerHtpasswd,
} from "../../test/peers/docker-registry.ts";
import { handMadeModule } from "../../test/peers/hand-made-module.ts";
import { inShort, pluginResource } from "../../test/peers/plugin-resource.ts";
import { pushImage } from "../../test/peers/push-image.ts";
import { largeModule } from "../../test/peers/tiny-module.ts";
import { until } from "../../test/peers/until.ts";
import { type WatchedRegistry, watchRegistry } from "../../test/peers/watched-registry.ts";
import { silentLog } from "../log.ts";
import { sha256Hex } from "../oci/digest.ts";
import { adaptModule } from "./adapt-module.ts";
import { createModuleCache } from "./module-cache.ts";
import { createModuleResolver, type ModuleResolver } from "./resolve-module.ts";

let root: string;
let behind: DockerRegistry;
let registry: WatchedRegistry;
let resolver: ModuleResolver;
let stream: AbortController;
/** What Envoy was given last. */
let given: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "registry-faults-"));
  behind = await startDockerRegistry();
  registry = await watchRegistry(behind.host);
  stream = new AbortController();
  given = "";
  const cache = createModuleCache({
    dir: root,
    credentials: () => ({ username: "tester", password: "open-sesame" }),
    backoffMs: 1,
    maxAttempts: 2,
    preparation: {
      target: "stock",
      prepare: (bytes, what) => ({ bytes: adaptModule(bytes, what, "stock").bytes }),
    },
  });
  resolver = createModuleResolver((request, signal) => cache.fetch(request, signal), silentLog);
});
afterEach(async () => {
  stream.abort();
  await registry.stop();
  await behind.stop();
  await rm(root, { recursive: true });
});

const pluginOf = (text: string) => Buffer.concat([handMadeModule(), largeModule(text, 1000).subarray(8)]);

function push(tag: string, layer: Uint8Array) {
  return pushImage(behind.host, { repository: "plugins/a", tag, layer });
}

/** Asks for the image of a tag, as a version of the plugin does. */
function resolve(tag: string): void {
  stream.abort();
  stream = new AbortController();
  const url = `oci://${registry.host}/plugins/a:${tag}`;
  const plugin = pluginResource({ url, configuration: tag });
  const { signal } = stream;
  resolver.resolve(plugin, ({ resource }) => (given = inShort(resource!.value)), signal);
}

const status = () => resolver.plugins()[0];

/** Waits until the plugin of a tag has its module, without doing anything about it. */
async function untilReady(tag: string, text: string): Promise<void> {
  await until(`${tag} is there`, () => status()?.state === "ready");
  assert.match(given, new RegExp(`^${tag} at .*${sha256Hex(pluginOf(text))}\\.wasm$`));
}

/** Waits until a version of the plugin was tried twice without success; that of before stays. */
async function untilFailing(pattern: RegExp): Promise<void> {
  await until("it is tried again", () => (status()?.attempts ?? 0) >= 2 && status()?.state === "last-good");
  assert.match(status()!.error, pattern);
  assert.match(given, /^first at /);
}

async function begin(): Promise<void> {
  await push("first", pluginOf("first"));
  await push("second", pluginOf("second"));
  resolve("first");
  await untilReady("first", "first");
}

test("a registry that is killed, and started again", async () => {
  await begin();
  await behind.kill();
  resolve("second");
  await untilFailing(/no connection to 127\.0\.0\.1/);
  await behind.restart();
  await untilReady("second", "second");
});

test("credentials that are revoked, and restored", async () => {
  await begin();
  await behind.kill();
  await behind.restart({ htpasswd: testerHtpasswd.replace("tester", "another") });
  resolve("second");
  await untilFailing(
    /401 Unauthorized.*: the credentials for host 127\.0\.0\.1:\d+ were refused; check them/,
  );
  assert(!JSON.stringify(resolver.plugins()).includes("open-sesame"));
  await behind.kill();
  await behind.restart({ htpasswd: testerHtpasswd });
  await untilReady("second", "second");
});

test("a tag without a plugin in it is looked at, not pulled again; when it has moved the plugin is there", async () => {
  await begin();
  const { layer } = await push("moving", largeModule("no plugin", 1000));
  resolve("moving");
  await untilFailing(/is no proxy-wasm plugin that Envoy can load/);
  await until("it is tried a third time", () => status()!.attempts >= 3);
  assert.equal(registry.asked.get(`GET blobs/${layer}`), 1);
  assert.equal(registry.asked.get("GET manifests/moving"), 1);
  assert(registry.asked.get("HEAD manifests/moving")! >= 1);
  await push("moving", pluginOf("moved"));
  await untilReady("moving", "moved");
});

for (const { what, damage, pattern } of [
  {
    what: "cut off",
    damage: (bytes: Buffer) => bytes.subarray(0, 100),
    pattern: /the 100 bytes have digest|no connection/,
  },
  {
    what: "changed",
    damage: (bytes: Buffer) => Buffer.from(bytes).fill(0, 50, 60),
    pattern: /have digest .*; expected/,
  },
]) {
  test(`a layer that was ${what} on the registry's disk, and is mended`, async () => {
    await begin();
    const digest = sha256Hex(pluginOf("second"));
    const blobs = "data/docker/registry/v2/blobs/sha256";
    const file = join(behind.directory, blobs, digest.slice(0, 2), digest, "data");
    const whole = await readFile(file);
    await writeFile(file, damage(whole));
    resolve("second");
    await untilFailing(pattern);
    await writeFile(file, whole);
    await untilReady("second", "second");
  });
}
