import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, type TestContext, test } from "node:test";
import { pluginResource } from "../../test/peers/plugin-resource.ts";
import { mountSmallDisk } from "../../test/peers/small-disk.ts";
import { largeModule } from "../../test/peers/tiny-module.ts";
import { until } from "../../test/peers/until.ts";
import { type Log, silentLog } from "../log.ts";
import { sha256Hex } from "../oci/digest.ts";
import { writePluginImage } from "../oci/image-layout.ts";
import { createRegistryServer, type RegistryServer } from "../oci/registry-server.ts";
import { SystemError } from "../system-error.ts";
import { createModuleCache, type ModuleCacheOptions, type ModuleRequest } from "./module-cache.ts";
import { openModuleStore } from "./module-store.ts";
import { createModuleResolver } from "./resolve-module.ts";

const kib = 1024;
const moduleBytes = 100 * kib;

let root: string;
let registry: RegistryServer;
let warnings: string[];
let log: Log;
let inEffect: Set<string>;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "retention-"));
  registry = await createRegistryServer({ layouts: [join(root, "layout")] });
  warnings = [];
  inEffect = new Set();
  log = { ...silentLog, warn: (_, message) => void warnings.push(message), child: () => log };
});
afterEach(async () => {
  await registry.close();
  await rm(root, { recursive: true });
});

function createCache(maxBytes: number, options: Partial<ModuleCacheOptions> = {}) {
  const retention = { inEffect: () => inEffect, maxAgeMs: 3_600_000, maxBytes };
  const dir = join(root, "cache");
  return createModuleCache({ dir, credentials: () => undefined, maxAttempts: 1, retention, log, ...options });
}

const urlOf = (name: string) => `oci://127.0.0.1:${registry.port}/plugins/${name}:1`;

/** Publishes a module under its name, and gives its SHA-256. */
async function publish(name: string, bytes = moduleBytes): Promise<string> {
  const wasm = largeModule(name, bytes);
  await writePluginImage(join(root, "layout"), { repository: `plugins/${name}`, tag: "1", wasm });
  return sha256Hex(wasm);
}

function request(name: string): ModuleRequest {
  return { url: urlOf(name), pullPolicy: "IfNotPresent", resource: name, resourceVersion: "1" };
}

/** The modules on disk, by their names. */
async function modulesIn(directory: string, names: readonly string[], bytes = moduleBytes): Promise<string> {
  const files = (await readdir(directory, { recursive: true })).join();
  return names.filter((name) => files.includes(sha256Hex(largeModule(name, bytes)))).join("");
}

test("a module that makes the cache too large takes the place of the least recently used", async () => {
  const names = ["a", "b", "c", "d"];
  for (const name of names) await publish(name);
  const cache = createCache(2.5 * moduleBytes);
  const onDisk = () => modulesIn(join(root, "cache"), names);
  for (const name of ["a", "b", "a", "c"]) await cache.fetch(request(name));
  await until("b is gone", async () => (await onDisk()) === "ac");
  await cache.fetch(request("d"));
  await until("a is gone", async () => (await onDisk()) === "cd");
  assert.equal(cache.size(), 2 * largeModule("c", moduleBytes).length);
  assert.equal((await createCache(1).fetch(request("c"))).digest, sha256Hex(largeModule("c", moduleBytes)));
  await createCache(0).purge();
  assert.equal(await onDisk(), "");
});

test("what is in effect stays when it is too large, which is said once", async () => {
  inEffect.add(await publish("a")).add(await publish("b"));
  await publish("c");
  const cache = createCache(moduleBytes);
  const onDisk = () => modulesIn(join(root, "cache"), ["a", "b", "c"]);
  for (const name of ["a", "b", "c"]) await cache.fetch(request(name));
  await until("what is not in effect is gone", async () => (await onDisk()) === "ab");
  await cache.purge();
  await cache.purge();
  assert.deepEqual(warnings, [
    "the modules in effect alone are larger than the module cache may be; they stay",
  ]);
  inEffect.clear();
  await cache.purge();
  assert.equal(await onDisk(), "");
});

test("a module is not removed between the moment it is found and the moment it is handed over", async () => {
  await publish("a");
  const cache = createCache(0);
  for (let round = 0; round < 20; round++) {
    // A purge that has begun before, and one that begins after.
    const before = cache.purge();
    const fetching = cache.fetch(request("a"));
    const after = cache.purge();
    const module = await fetching;
    // What is asked for is in effect in the same turn, as the resolver has it.
    inEffect.add(module.digest);
    await Promise.all([before, after]);
    await cache.purge();
    assert.equal((await readFile(module.path)).length, module.size);
    if (round % 2 === 0) await cache.fetch(request("a"));
    inEffect.clear();
  }
});

test("a module is not removed while it is being stored", async () => {
  const store = await openModuleStore(join(root, "cache"), 1 << 20, assert.fail);
  const policy = { inEffect: () => inEffect, maxAgeMs: 3_600_000, maxBytes: 1 << 30 };
  const modules = Array.from({ length: 100 }, (_, index) => largeModule(String(index), kib));
  let isStoring = true;
  const storing = Promise.all(modules.map((bytes) => store.put(bytes))).finally(() => (isStoring = false));
  while (isStoring) assert.deepEqual((await store.purge(policy, () => Number.POSITIVE_INFINITY)).removed, []);
  for (const { path } of await storing) assert((await stat(path)).isFile());
});

test("a module is not removed by a purge that begins before it is asked for and decides while it is looked up", async () => {
  await publish("a");
  const directory = join(root, "cache");
  const { digest } = await createCache(1 << 30).fetch(request("a"));
  const store = await openModuleStore(directory, 1 << 20, assert.fail);
  let began = Number.POSITIVE_INFINITY;
  const policy = { inEffect: () => inEffect, maxAgeMs: 3_600_000, maxBytes: 0 };
  const purging = store.purge(policy, () => began);
  began = Date.now();
  const found = await store.find(digest);
  assert.deepEqual((await purging).removed, []);
  assert.equal((await readFile(found!.path)).length, found!.size);
});

test("what a crash left behind is gone when the cache is opened, beside the index as among the modules", async () => {
  await publish("a");
  const { path } = await createCache(1 << 30).fetch(request("a"));
  const suffix = "00000000-0000-0000-0000-000000000000.tmp";
  for (const file of [path, join(root, "cache", "index.json")]) await writeFile(`${file}.${suffix}`, "half");
  await createCache(1 << 30).fetch(request("a"));
  const files = await readdir(join(root, "cache"), { recursive: true });
  assert.deepEqual(
    files.filter((file) => /\.(tmp|json|wasm)/.test(file)).map((file) => file.replace(/.*\//, "")),
    ["index.json", `${sha256Hex(largeModule("a", moduleBytes))}.wasm`],
  );
});

test("modules of which a lost index says nothing are as old as their files", async () => {
  const names = ["a", "b", "c"];
  for (const name of names) await publish(name);
  for (const name of ["a", "b"]) await createCache(1 << 30).fetch(request(name));
  await rm(join(root, "cache", "index.json"));
  const cache = createCache(1 << 30);
  await cache.fetch(request("c"));
  await cache.purge();
  assert.equal(await modulesIn(join(root, "cache"), names), "abc");
});

/** A cache on a disk of one MiB. */
async function createSmallCache(t: TestContext) {
  const disk = await mountSmallDisk(1024 * kib);
  t.after(disk.unmount);
  const dir = join(disk.directory, "cache");
  return { disk, dir, cache: createCache(1 << 30, { dir }) };
}

/** Leaves so many bytes on a disk. */
async function fill(directory: string, left: number): Promise<string> {
  const { bavail, bsize } = await statfs(directory);
  const file = join(directory, "in the way");
  await writeFile(file, Buffer.alloc(Math.max(0, bavail * bsize - left)));
  return file;
}

test("a full disk: modules that are not in effect make room", async (t) => {
  const { dir, disk, cache } = await createSmallCache(t);
  for (const name of ["a", "b", "c"]) await publish(name, 300 * kib);
  inEffect.add((await cache.fetch(request("a"))).digest);
  await cache.fetch(request("b"));
  await fill(disk.directory, 100 * kib);
  await cache.fetch(request("c"));
  assert.equal(await modulesIn(dir, ["a", "b", "c"], 300 * kib), "ac");
});

test("a full disk without anything to give up is an error; the last good module stays, and room heals", async (t) => {
  const { dir, disk, cache } = await createSmallCache(t);
  const first = await publish("a", 300 * kib);
  await publish("b", 300 * kib);
  const resolver = createModuleResolver((wanted, signal) => cache.fetch(wanted, signal), log);
  const stream = new AbortController();
  t.after(() => stream.abort());
  const resolve = (name: string) => {
    const plugin = pluginResource({ url: urlOf(name) });
    resolver.resolve(
      plugin,
      ({ resource, reasons }) => reasons.size === 0 && resolver.accepted(resource!),
      stream.signal,
    );
  };
  const plugin = () => resolver.plugins()[0];
  resolve("a");
  await until("the first module is there", () => plugin()?.state === "ready");
  const path = plugin()!.path;
  inEffect.add(first);
  const index = await readFile(join(dir, "index.json"), "utf8");
  const inTheWay = await fill(disk.directory, 0);
  resolve("b");
  await until("the disk is full", () => plugin()?.state === "last-good");
  assert.match(
    plugin()!.error,
    new RegExp(
      `^writing module ${dir}/sha256/.* of 30\\d{4} bytes: ENOSPC: no space left on device.*; make room`,
    ),
  );
  await assert.rejects(
    cache.fetch(request("b")),
    (error) => error instanceof SystemError && error.code === "disk",
  );
  assert.equal(sha256Hex(await readFile(path)), first);
  assert.equal(await readFile(join(dir, "index.json"), "utf8"), index);
  assert.deepEqual(
    (await readdir(dir, { recursive: true })).filter((file) => file.endsWith(".tmp")),
    [],
  );
  // A restart in that state finds what is there, and a plugin's edit needs no room.
  assert.equal((await createCache(1 << 30, { dir }).fetch(request("a"))).path, path);
  await rm(inTheWay);
  await until("the module is there by itself", () => plugin()?.state === "ready");
  assert.equal(await modulesIn(dir, ["a", "b"], 300 * kib), "ab");
});

test("a disk without a single inode left is full too", async (t) => {
  const { dir, disk, cache } = await createSmallCache(t);
  await publish("a", kib);
  await mkdir(dir);
  let files = 0;
  const isFull = await (async () => {
    try {
      for (; files < 10_000; files++) await writeFile(join(disk.directory, String(files)), "");
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOSPC";
    }
  })();
  assert(isFull);
  await assert.rejects(cache.fetch(request("a")), /ENOSPC/);
  for (; files > 0; files--) await rm(join(disk.directory, String(files - 1)));
  await cache.fetch(request("a"));
});
