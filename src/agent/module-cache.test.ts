import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { digestOf, sha256Hex } from "../oci/digest.ts";
import { writePluginImage } from "../oci/image-layout.ts";
import { createRegistryServer, type RegistryServer } from "../oci/registry-server.ts";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import {
  createModuleCache,
  type ModuleCacheOptions,
  type ModulePreparation,
  type ModuleRequest,
} from "./module-cache.ts";

let root: string;
let registry: RegistryServer;
/** What the registry was asked for: `manifests`, `blobs`, `HEAD manifests`. */
let asked: string[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "module-cache-"));
  asked = [];
  const onRequest = (method: string, path: string) =>
    asked.push(`${method === "GET" ? "" : `${method} `}${path.split("/").at(-2) ?? ""}`);
  registry = await createRegistryServer({ layouts: [layout()], onRequest });
});
afterEach(async () => {
  await registry.close();
  await rm(root, { recursive: true });
});

const layout = () => join(root, "layout");
const cacheDir = () => join(root, "cache");

function createCache(options: Partial<ModuleCacheOptions> = {}) {
  return createModuleCache({ dir: cacheDir(), credentials: () => undefined, maxAttempts: 1, ...options });
}

function publish(text: string, tag = "1") {
  return writePluginImage(layout(), { repository: "plugins/a", tag, wasm: tinyModule(text) });
}

function ask(changes: Partial<ModuleRequest> = {}): ModuleRequest {
  const url = `oci://127.0.0.1:${registry.port}/plugins/a:1`;
  return { url, pullPolicy: "unspecified", resource: "ns/a", resourceVersion: "1", ...changes };
}

const askFor = (tag: string) => ask({ url: `oci://127.0.0.1:${registry.port}/plugins/a:${tag}` });

const hexOf = (text: string) => sha256Hex(tinyModule(text));

function takeAsked(): string[] {
  return asked.splice(0);
}

function refusal(code: SystemErrorCode, message = /./) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test("an image becomes a file that is named after its bytes", async () => {
  const { digest } = await publish("a");
  const cache = createCache();
  const module = await cache.fetch(ask());
  const hex = hexOf("a");
  const path = join(cacheDir(), "sha256", hex.slice(0, 2), `${hex}.wasm`);
  assert.deepEqual(module, { path, digest: hex, size: tinyModule("a").length, manifestDigest: digest });
  assert.deepEqual(await readFile(path), Buffer.from(tinyModule("a")));
  const [entry, ...others] = cache.entries();
  assert.deepEqual(others, []);
  assert.deepEqual([entry?.digest, entry?.manifestDigest, entry?.urls], [hex, digest, [ask().url]]);
});

test("a URL without a scheme is an image", async () => {
  await publish("a");
  const cache = createCache();
  assert.equal(
    (await cache.fetch(ask({ url: `127.0.0.1:${registry.port}/plugins/a:1` }))).digest,
    hexOf("a"),
  );
});

test("many who ask at once share one download", async () => {
  await publish("a");
  const cache = createCache();
  const requests = Array.from({ length: 20 }, (_, index) => ask({ resource: `ns/${index}` }));
  const modules = await Promise.all(requests.map((request) => cache.fetch(request)));
  assert.equal(new Set(modules.map(({ path }) => path)).size, 1);
  assert.deepEqual(takeAsked(), ["manifests", "blobs"]);
});

test("one who leaves does not take the download from the others", async () => {
  await publish("a");
  const cache = createCache();
  const controller = new AbortController();
  const leaving = cache.fetch(ask(), controller.signal);
  const staying = cache.fetch(ask({ resource: "ns/b" }));
  controller.abort();
  await assert.rejects(leaving, refusal("cancelled"));
  assert.equal((await staying).digest, hexOf("a"));
});

test("IfNotPresent, and no policy with a tag: asked once", async () => {
  await publish("a");
  const cache = createCache();
  await cache.fetch(ask());
  takeAsked();
  await publish("b");
  for (const pullPolicy of ["unspecified", "IfNotPresent"] as const) {
    const module = await cache.fetch(ask({ pullPolicy, resourceVersion: "2" }));
    assert.equal(module.digest, hexOf("a"));
  }
  assert.deepEqual(takeAsked(), []);
});

test("Always, and no policy with the tag latest: asked again when the plugin changed", async () => {
  for (const [pullPolicy, tag] of [
    ["Always", "1"],
    ["unspecified", "latest"],
  ] as const) {
    const url = `oci://127.0.0.1:${registry.port}/plugins/a:${tag}`;
    const cache = createCache();
    const fetch = (resourceVersion: string) => cache.fetch(ask({ url, pullPolicy, resourceVersion }));
    await publish("a", tag);
    await fetch("1");
    takeAsked();
    await publish("b", tag);
    assert.equal((await fetch("1")).digest, hexOf("a"));
    assert.deepEqual(takeAsked(), []);
    assert.equal((await fetch("2")).digest, hexOf("b"));
    assert.deepEqual(takeAsked().slice(0, 1), ["HEAD manifests"]);
    assert.equal((await fetch("3")).digest, hexOf("b"));
    // The manifest is the same as before, so there is no layer to fetch.
    assert.deepEqual(takeAsked(), ["HEAD manifests"]);
  }
});

test("an image without a tag is not latest, as in Istio", async () => {
  await publish("a", "latest");
  const cache = createCache();
  const url = `oci://127.0.0.1:${registry.port}/plugins/a`;
  await cache.fetch(ask({ url }));
  takeAsked();
  await cache.fetch(ask({ url, resourceVersion: "2" }));
  assert.deepEqual(takeAsked(), []);
});

test("a version counts as seen only when its pull succeeded", async () => {
  await publish("a");
  const cache = createCache();
  await cache.fetch(ask({ pullPolicy: "Always" }));
  const index = join(layout(), "index.json");
  const saved = await readFile(index);
  await rm(index);
  const changed = ask({ pullPolicy: "Always", resourceVersion: "2" });
  await assert.rejects(cache.fetch(changed), refusal("not-found"));
  await assert.rejects(cache.fetch(changed), refusal("not-found"));
  assert.equal((await cache.fetch(ask({ pullPolicy: "IfNotPresent" }))).digest, hexOf("a"));
  await writeFile(index, saved);
  takeAsked();
  assert.equal((await cache.fetch(changed)).digest, hexOf("a"));
  assert.deepEqual(takeAsked(), ["HEAD manifests"]);
});

test("a digest that is known needs no registry, whatever the policy", async () => {
  const { digest } = await publish("a");
  const cache = createCache();
  await cache.fetch(ask());
  takeAsked();
  const always = { pullPolicy: "Always", resourceVersion: "2" } as const;
  for (const changes of [
    { url: `oci://127.0.0.1:${registry.port}/plugins/a@${digest}` },
    { sha256: digest.slice(7) },
    { sha256: hexOf("a") },
  ]) {
    assert.equal((await cache.fetch(ask({ ...always, ...changes }))).digest, hexOf("a"));
  }
  assert.deepEqual(takeAsked(), []);
});

test("sha256 of an image is that of its manifest or that of the module", async () => {
  const { digest } = await publish("a");
  for (const sha256 of [digest.slice(7), hexOf("a"), hexOf("a").toUpperCase()]) {
    const cache = createCache({ dir: join(root, sha256) });
    assert.equal((await cache.fetch(ask({ sha256 }))).digest, hexOf("a"));
  }
  const message = new RegExp(`has sha256 ${hexOf("a")} and its manifest ${digest}; expected ${hexOf("b")}`);
  await assert.rejects(createCache().fetch(ask({ sha256: hexOf("b") })), refusal("digest-mismatch", message));
});

test("a new sha256 leads to the new image under an old tag", async () => {
  await publish("a");
  const cache = createCache();
  await cache.fetch(ask());
  await publish("b");
  assert.equal((await cache.fetch(ask({ sha256: hexOf("b") }))).digest, hexOf("b"));
});

test("after a restart IfNotPresent needs no registry", async () => {
  const { digest } = await publish("a");
  const first = await createCache().fetch(ask());
  await registry.close();
  assert.deepEqual(await createCache().fetch(ask()), first);
  assert.equal(first.manifestDigest, digest);
  await assert.rejects(createCache().fetch(ask({ pullPolicy: "Always" })), refusal("network"));
  registry = await createRegistryServer({ layouts: [layout()] });
});

test("a file that changed while nobody looked is fetched again", async () => {
  await publish("a");
  const { path, size } = await createCache().fetch(ask());
  await writeFile(path, Buffer.alloc(size));
  const cache = createCache();
  takeAsked();
  await cache.fetch(ask());
  assert.deepEqual(takeAsked(), ["manifests", "blobs"]);
  assert.deepEqual(await readFile(path), Buffer.from(tinyModule("a")));
  await rm(path);
  await cache.fetch(ask());
  assert.deepEqual(takeAsked(), ["HEAD manifests", "blobs"]);
  await readFile(path);
});

test("a broken index costs a look at the registry and nothing else", async () => {
  await publish("a");
  await createCache().fetch(ask());
  await writeFile(join(cacheDir(), "index.json"), '{"sources":{"x":1},');
  const warnings: string[] = [];
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (_: object, text: string) => warnings.push(text),
    child: () => log,
  };
  assert.equal((await createCache({ log }).fetch(ask())).digest, hexOf("a"));
  assert.match(warnings.join(), /index\.json is broken and is begun anew/);
});

test("a disk that refuses is reported, and used again when it does not", async () => {
  await publish("a");
  await writeFile(cacheDir(), "in the way");
  const cache = createCache();
  await assert.rejects(cache.fetch(ask()), refusal("disk", /ENOTDIR/));
  await rm(cacheDir());
  const first = await cache.fetch(ask());
  await publish("b", "2");
  const hex = hexOf("b");
  const blocked = join(cacheDir(), "sha256", hex.slice(0, 2));
  await writeFile(blocked, "in the way");
  const second = ask({ url: `oci://127.0.0.1:${registry.port}/plugins/a:2` });
  await assert.rejects(cache.fetch(second), refusal("disk", new RegExp(`writing module .*${hex}`)));
  assert.deepEqual(await cache.fetch(ask()), first);
  await rm(blocked);
  assert.equal((await cache.fetch(second)).digest, hex);
  const files = await readdir(cacheDir(), { recursive: true });
  assert.deepEqual(
    files.filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("a module may be served while the index cannot be written", async () => {
  await publish("a");
  await mkdir(join(cacheDir(), "index.json"), { recursive: true });
  await assert.rejects(createCache().fetch(ask()), refusal("disk", /index\.json/));
  await rm(join(cacheDir(), "index.json"), { recursive: true });
  const warnings: string[] = [];
  const log = {
    debug() {},
    info() {},
    error() {},
    warn: (_: object, text: string) => warnings.push(text),
    child: () => log,
  };
  const cache = createCache({ log });
  await cache.fetch(ask());
  await rm(join(cacheDir(), "index.json"));
  await mkdir(join(cacheDir(), "index.json", "in the way"), { recursive: true });
  await publish("b");
  assert.equal((await cache.fetch(ask({ pullPolicy: "Always", resourceVersion: "2" }))).digest, hexOf("b"));
  assert.match(warnings.join(), /index could not be written/);
});

test("files: new bytes under the same path are a new path", async () => {
  const file = join(root, "plugin with space.wasm");
  const url = pathToFileURL(file).href;
  const cache = createCache();
  await assert.rejects(cache.fetch(ask({ url })), refusal("not-found", /reading the module file:/));
  await writeFile(file, tinyModule("a"));
  const first = await cache.fetch(ask({ url, pullPolicy: "IfNotPresent" }));
  await writeFile(file, gzipSync(tinyModule("b")));
  const second = await cache.fetch(ask({ url, pullPolicy: "IfNotPresent" }));
  assert.deepEqual([first.digest, second.digest], [hexOf("a"), hexOf("b")]);
  assert.deepEqual(await readFile(first.path), Buffer.from(tinyModule("a")));
  await assert.rejects(cache.fetch(ask({ url, sha256: hexOf("a") })), refusal("digest-mismatch"));
  await assert.rejects(
    cache.fetch(ask({ url: pathToFileURL(root).href })),
    refusal("disk", /no regular file/),
  );
});

test("HTTP: policies, sha256, wrappings, and no secrets in messages", async () => {
  let body: Uint8Array = tinyModule("a");
  let status = 200;
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(status).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const url = `http://user:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}/a.wasm?token=hunter2`;
    const cache = createCache();
    assert.equal((await cache.fetch(ask({ url }))).digest, hexOf("a"));
    body = gzipSync(tinyModule("b"));
    assert.equal((await cache.fetch(ask({ url, resourceVersion: "2" }))).digest, hexOf("a"));
    assert.deepEqual(seen, [`Basic ${Buffer.from("user:hunter2").toString("base64")}`]);
    assert.equal((await cache.fetch(ask({ url, sha256: hexOf("b") }))).digest, hexOf("b"));
    await assert.rejects(cache.fetch(ask({ url, sha256: hexOf("c") })), refusal("digest-mismatch"));
    status = 404;
    const isQuiet = (error: unknown) =>
      refusal("not-found", /404 Not Found; expected 200/)(error) && !String(error).includes("hunter2");
    await assert.rejects(cache.fetch(ask({ url, pullPolicy: "Always", resourceVersion: "3" })), isQuiet);
    assert.ok(!(await readFile(join(cacheDir(), "index.json"), "utf8")).includes("hunter2"));
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("what is too large or no module does not get into the cache", async () => {
  await publish("a");
  const message = /at most 20 are allowed/;
  await assert.rejects(createCache({ maxModuleBytes: 20 }).fetch(ask()), refusal("too-large", message));
  const file = join(root, "a.txt");
  await writeFile(file, "no module");
  await assert.rejects(
    createCache().fetch(ask({ url: pathToFileURL(file).href })),
    refusal("module-invalid"),
  );
  await assert.rejects(createCache().fetch(ask({ url: "ftp://a/b" })), refusal("reference-invalid", /"ftp"/));
  await assert.rejects(readdir(cacheDir()), { code: "ENOENT" });
});

test("purge removes what is old and not in effect", async () => {
  await publish("a");
  await publish("b", "2");
  const inEffect = new Set<string>();
  const retention = { inEffect: () => inEffect, maxAgeMs: 3_600_000, maxBytes: 1 << 20 };
  const cache = createCache({ retention });
  const first = await cache.fetch(ask());
  const second = await cache.fetch(askFor("2"));
  await cache.purge();
  assert.equal(cache.entries().length, 2);
  inEffect.add(first.digest);
  await createCache({ retention: { ...retention, maxAgeMs: -1 } }).purge();
  await assert.rejects(readFile(second.path), { code: "ENOENT" });
  await readFile(first.path);
});

test("lookups and fetches are counted", async () => {
  await publish("a");
  const seen: (boolean | string)[] = [];
  const cache = createCache({ onLookup: (hit) => seen.push(hit), onFetch: (result) => seen.push(result) });
  await cache.fetch(ask());
  await cache.fetch(ask());
  await assert.rejects(cache.fetch(ask({ sha256: digestOf(Buffer.from("x")) })));
  await assert.rejects(cache.fetch(ask({ url: `127.0.0.1:${registry.port}/none` })));
  assert.deepEqual(seen, [false, "success", true, false, "checksum_mismatched", false, "download_failure"]);
});

/** Prepares by putting a custom section behind a module; refuses the one that is named "unfit". */
function prepareFor(target: string): ModulePreparation {
  return {
    target,
    prepare(bytes, what) {
      if (sha256Hex(bytes) === hexOf("unfit")) throw new SystemError("module-invalid", `${what} is unfit`);
      return { bytes: Buffer.concat([bytes, tinyModule(target).subarray(8)]), adapted: ["a section"] };
    },
  };
}

test("a module that is changed on its way is stored as it became, and checked as it was pulled", async () => {
  const { digest } = await publish("a");
  const cache = createCache({ preparation: prepareFor("gateway") });
  const module = await cache.fetch(ask({ sha256: hexOf("a") }));
  const { bytes: prepared } = prepareFor("gateway").prepare(tinyModule("a"), "");
  assert.deepEqual(await readFile(module.path), Buffer.from(prepared));
  const adaptedFrom = hexOf("a");
  assert.deepEqual(module, {
    ...{ path: module.path, digest: sha256Hex(prepared), size: prepared.length },
    ...{ manifestDigest: digest, adaptedFrom, adapted: ["a section"] },
  });
  assert.equal(cache.entries()[0]?.adaptedFrom, adaptedFrom);
  await assert.rejects(
    cache.fetch(ask({ sha256: module.digest })),
    refusal("digest-mismatch", new RegExp(`has sha256 ${adaptedFrom}`)),
  );
});

test("after a restart a changed module needs no network, by URL and by either digest", async () => {
  const { digest } = await publish("a");
  const preparation = prepareFor("gateway");
  const before = await createCache({ preparation }).fetch(ask());
  await registry.close();
  const cache = createCache({ preparation });
  for (const sha256 of [undefined, hexOf("a"), digest.slice("sha256:".length)])
    assert.deepEqual(await cache.fetch(ask({ sha256 })), before);
});

test("what was stored for another gateway is pulled anew", async () => {
  await publish("a");
  await createCache().fetch(ask());
  takeAsked();
  const one = await createCache({ preparation: prepareFor("one") }).fetch(ask());
  assert.deepEqual(takeAsked(), ["manifests", "blobs"]);
  const other = await createCache({ preparation: prepareFor("other") }).fetch(ask());
  assert.deepEqual(takeAsked(), ["manifests", "blobs"]);
  assert.notEqual(one.digest, other.digest);
});

test("a module that is refused is not stored; one of another digest is called so first", async () => {
  await publish("unfit");
  const cache = createCache({ preparation: prepareFor("gateway") });
  await assert.rejects(cache.fetch(ask()), refusal("module-invalid", /plugins\/a:1 is unfit$/));
  await assert.rejects(cache.fetch(ask({ sha256: "ab".repeat(32) })), refusal("digest-mismatch"));
  assert.deepEqual(cache.entries(), []);
});

test("an image that was refused costs a look at the tag, until that has moved", async () => {
  await publish("unfit");
  const cache = createCache({ preparation: prepareFor("gateway") });
  const unfit = refusal("module-invalid", /plugins\/a:1 is unfit$/);
  await assert.rejects(cache.fetch(ask()), unfit);
  assert.deepEqual(takeAsked(), ["manifests", "blobs"]);
  for (let retry = 0; retry < 3; retry++) await assert.rejects(cache.fetch(ask()), unfit);
  assert.deepEqual(takeAsked(), Array(3).fill("HEAD manifests"));
  // Whoever expects another module is told so first, also then.
  await assert.rejects(cache.fetch(ask({ sha256: hexOf("a") })), refusal("digest-mismatch", /expected/));
  takeAsked();
  await publish("a");
  assert.equal((await cache.fetch(ask())).adaptedFrom, hexOf("a"));
  assert.deepEqual(takeAsked(), ["HEAD manifests", "manifests", "blobs"]);
});

test("an image of before, under its tag again, is still there", async () => {
  await publish("a");
  const cache = createCache();
  const fetch = (resourceVersion: string) => cache.fetch(ask({ pullPolicy: "Always", resourceVersion }));
  await fetch("1");
  await publish("b");
  await fetch("2");
  await publish("a");
  takeAsked();
  assert.equal((await fetch("3")).digest, hexOf("a"));
  assert.deepEqual(takeAsked(), ["HEAD manifests", "manifests"]);
});

test("a crash after a module was stored, before the index says what its URL stands for, costs no second pull", async () => {
  await publish("a");
  await createCache().fetch(ask());
  const file = join(cacheDir(), "index.json");
  const { sources, ...rest } = JSON.parse(await readFile(file, "utf8"));
  assert.deepEqual(Object.keys(sources), [ask().url]);
  await writeFile(file, JSON.stringify(rest));
  takeAsked();
  await createCache().fetch(ask());
  assert.deepEqual(takeAsked(), ["manifests"]);
});

test("an index of before there were images in it is read", async () => {
  await publish("a");
  await createCache().fetch(ask());
  const file = join(cacheDir(), "index.json");
  const { images, ...rest } = JSON.parse(await readFile(file, "utf8"));
  assert.equal(Object.keys(images).length, 1);
  await writeFile(file, JSON.stringify(rest));
  takeAsked();
  await createCache().fetch(ask({ pullPolicy: "Always" }));
  assert.deepEqual(takeAsked(), ["manifests"]);
});

test("what an index says of modules that are not there is forgotten", async () => {
  await publish("a");
  const { path } = await createCache().fetch(ask());
  await rm(path);
  await publish("b", "2");
  await createCache().fetch(askFor("2"));
  const { sources, images, lastUsed } = JSON.parse(await readFile(join(cacheDir(), "index.json"), "utf8"));
  assert.deepEqual(Object.keys(sources), [askFor("2").url]);
  assert.deepEqual([Object.keys(images).length, Object.keys(lastUsed)], [1, [hexOf("b")]]);
});
