import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { pluginResource } from "../../test/peers/plugin-resource.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { digestOf } from "../oci/digest.ts";
import { mediaTypes } from "../oci/manifest.ts";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { createModuleCache, type ModuleCacheOptions } from "./module-cache.ts";
import { createModuleResolver } from "./resolve-module.ts";

const wasm = Buffer.from(tinyModule("sick"));
const manifest = manifestOf(wasm, "application/wasm");

function manifestOf(layer: Uint8Array, mediaType: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: [{ mediaType, digest: digestOf(layer), size: layer.length }],
    }),
  );
}

type Answer = (response: ServerResponse, body: Buffer) => void;

const well: Answer = (response, body) =>
  void response.writeHead(200, { "content-type": mediaTypes.ociManifest }).end(body);

let root: string;
let server: Server;
/** What the registry does at its next requests; it is well after that. */
let script: Answer[];
let asked: string[];
/** What it does until it is healed. */
let sickness: { readonly manifest?: Answer; readonly blob?: Answer } | undefined;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sick-registry-"));
  script = [];
  asked = [];
  sickness = undefined;
  server = createServer((request, response) => {
    const kind = request.url?.split("/").at(-2) ?? "";
    asked.push(kind);
    const answer = script.shift() ?? sickness?.[kind === "blobs" ? "blob" : "manifest"] ?? well;
    answer(response, kind === "blobs" ? wasm : manifest);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, "close");
  await rm(root, { recursive: true });
});

const urlOfImage = () => `oci://127.0.0.1:${(server.address() as AddressInfo).port}/plugins/a:1`;

function createCache(options: Partial<ModuleCacheOptions> = {}) {
  return createModuleCache({ dir: root, credentials: () => undefined, backoffMs: 1, ...options });
}

function fetch(options: Partial<ModuleCacheOptions> = {}, signal?: AbortSignal) {
  const url = urlOfImage();
  const request = { url, pullPolicy: "IfNotPresent", resource: "ns/a", resourceVersion: "1" } as const;
  return createCache(options).fetch(request, signal);
}

function refusal(code: SystemErrorCode, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end();

const hourMs = 3_600_000;

test("what has another digest than the manifest says is refused, and asked for again next time", async () => {
  const other = Buffer.from(tinyModule("sock"));
  script = [well, (response) => void response.end(other)];
  await assert.rejects(fetch(), refusal("digest-mismatch", /the 15 bytes have digest .*; expected sha256:/));
  assert.equal((await fetch()).size, wasm.length);
});

test("a layer longer than the manifest says is not read to its end", async () => {
  let sent = 0;
  const endless: Answer = (response) => {
    const more = () => {
      while (response.writable && response.write(Buffer.alloc(64 << 10))) sent += 64 << 10;
    };
    response.on("drain", more).on("error", () => undefined);
    more();
  };
  script = [well, endless];
  await assert.rejects(fetch(), refusal("digest-mismatch", /more than 15 bytes came; expected 15/));
  assert(sent < 64 << 20);
});

test("a manifest that the registry calls by another digest is refused", async () => {
  script = [
    (response, body) => {
      response.writeHead(200, {
        "content-type": mediaTypes.ociManifest,
        "docker-content-digest": digestOf(wasm),
      });
      response.end(body);
    },
  ];
  await assert.rejects(fetch(), refusal("digest-mismatch", /fetching the manifest of/));
});

test("errors that pass, of the manifest and of the layer", async () => {
  script = [status(500), status(503), well, status(502)];
  assert.equal((await fetch()).size, wasm.length);
  assert.deepEqual(asked, ["manifests", "manifests", "manifests", "blobs", "blobs"]);
});

test("Retry-After takes the place of the own pause", async () => {
  script = [status(429, { "retry-after": "0" }), status(503, { "retry-after": "0" })];
  assert.equal((await fetch({ backoffMs: hourMs })).size, wasm.length);
  assert.equal(asked.length, 4);
});

test("Retry-After is waited for, until the signal", async () => {
  const controller = new AbortController();
  script = [
    (response, body) => {
      status(429, { "retry-after": "60" })(response, body);
      response.once("close", () => setImmediate(() => controller.abort()));
    },
  ];
  await assert.rejects(fetch({}, controller.signal), refusal("cancelled", /cancelled/));
  assert.deepEqual(asked, ["manifests"]);
});

test("429 that asks for more than a minute, or says nothing, is final and passed on", async () => {
  script = [status(429, { "retry-after": "61" }), status(429)];
  const limited = /429 Too Many Requests: the registry limits how often .*; wait, or log in/;
  await assert.rejects(fetch(), refusal("registry", new RegExp(`${limited.source} \\(Retry-After: 61\\)$`)));
  await assert.rejects(fetch(), refusal("registry", new RegExp(`${limited.source}$`)));
  assert.equal(asked.length, 2);
});

test("503 that asks for more than a minute is final too, and says how long whoever asked is to wait", async () => {
  script = [status(503, { "retry-after": "3600" })];
  await assert.rejects(fetch(), (error) => {
    assert.ok(error instanceof SystemError);
    assert.deepEqual([error.code, error.retryAfterMs], ["registry", 3_600_000]);
    return true;
  });
  assert.equal(asked.length, 1);
});

test("429 without an end is asked as often as allowed", async () => {
  script = Array.from({ length: 9 }, () => status(429, { "retry-after": "0" }));
  await assert.rejects(fetch({ maxAttempts: 3 }), refusal("registry", /429/));
  assert.equal(asked.length, 3);
});

test("a layer that comes byte by byte ends with the time for the whole fetch", async () => {
  const drip: Answer = (response) => {
    response.writeHead(200, { "content-length": wasm.length });
    let at = 0;
    const timer = setInterval(() => response.write(wasm.subarray(at % 4, (at++ % 4) + 1)), 20);
    response.once("close", () => clearInterval(timer));
  };
  script = [well, drip];
  await assert.rejects(
    fetch({ fetchTimeoutMs: 250, timeoutMs: 60_000, maxAttempts: 1 }),
    refusal("timeout", /fetching layer sha256:.*not finished in time/),
  );
});

test("a layer that is cut off is fetched again, and one that says it is whole is refused", async () => {
  const half = wasm.subarray(0, 10);
  const cut: Answer = (response) => {
    response.writeHead(200, { "content-length": wasm.length });
    response.write(half, () => response.destroy());
  };
  script = [well, cut];
  assert.equal((await fetch({ dir: join(root, "again") })).size, wasm.length);
  assert.deepEqual(asked.splice(0), ["manifests", "blobs", "blobs"]);
  script = [well, (response) => void response.end(half)];
  await assert.rejects(fetch(), refusal("digest-mismatch", /the 10 bytes have digest sha256:.*; expected/));
  assert.equal((await fetch()).size, wasm.length);
});

test("redirects in a circle", async () => {
  script = Array.from({ length: 9 }, () => status(307, { location: "/v2/plugins/a/manifests/1" }));
  await assert.rejects(fetch(), refusal("network", /more than 5 redirects/));
  assert.equal(asked.length, 6);
});

/** An image whose layer is something else. */
function imageOf(layer: Buffer, mediaType: string): NonNullable<typeof sickness> {
  const manifest = manifestOf(layer, mediaType);
  return { manifest: (response) => well(response, manifest), blob: (response) => void response.end(layer) };
}

const gib = 2 ** 30;
const tarGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
const tarZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
/** A GiB of zeros in many members of gzip. */
const gzipBomb = Buffer.concat(Array(1024).fill(gzipSync(Buffer.alloc(gib / 1024))));
/** A GiB in blocks of zstd that each say "131,072 times this byte". */
const zstdBomb = Buffer.concat([
  Buffer.from("28b52ffd0068", "hex"),
  Buffer.alloc(4 * 8192, Buffer.from("02001041", "hex")),
  Buffer.from("03001041", "hex"),
]);

const oneByteASecond: Answer = (response) => {
  response.writeHead(200, { "content-length": wasm.length });
  let at = 0;
  const drip = () => response.write(wasm.subarray(at, ++at));
  const timer = setInterval(drip, 1000);
  response.once("close", () => clearInterval(timer));
  drip();
};

for (const { name, sick, pattern } of [
  {
    name: "fails",
    sick: { manifest: status(500) },
    pattern: /500 Internal Server Error: the registry fails/,
  },
  { name: "limits", sick: { manifest: status(429) }, pattern: /429 Too Many Requests/ },
  { name: "has lost the layer", sick: { blob: status(404) }, pattern: /fetching layer .*404 Not Found/ },
  {
    name: "breaks off",
    sick: { blob: (response: ServerResponse) => response.destroy() },
    pattern: /no connection/,
  },
  { name: "gives one byte a second", sick: { blob: oneByteASecond }, pattern: /not finished in time/ },
  {
    name: "gives the half and calls it whole",
    sick: { blob: (response: ServerResponse) => void response.end(wasm.subarray(0, 7)) },
    pattern: /the 7 bytes have digest/,
  },
  {
    name: "gives something else",
    sick: { blob: (response: ServerResponse) => void response.end(Buffer.alloc(wasm.length)) },
    pattern: /the 15 bytes have digest/,
  },
  {
    name: "sends in a circle",
    sick: { blob: status(307, { location: "/v2/plugins/a/blobs/x" }) },
    pattern: /more than 5 redirects/,
  },
  {
    name: "has a bomb of gzip",
    sick: imageOf(gzipBomb, tarGzip),
    pattern: /unpacked it has more than 8388608/,
  },
  {
    name: "has a bomb of zstd",
    sick: imageOf(zstdBomb, tarZstd),
    pattern: /unpacked it has more than 8388608/,
  },
]) {
  test(`a registry that ${name}: the error says so, memory stays, and when it is well the plugin is there`, async (t) => {
    const stream = new AbortController();
    t.after(() => stream.abort());
    sickness = sick;
    const cache = createCache({ fetchTimeoutMs: 1500, maxAttempts: 2, maxModuleBytes: 8 << 20 });
    const resolver = createModuleResolver((request, signal) => cache.fetch(request, signal), silentLog);
    const before = process.resourceUsage().maxRSS * 1024;
    resolver.resolve(pluginResource({ url: urlOfImage() }), () => undefined, stream.signal);
    const plugin = () => resolver.plugins()[0];
    await until("it is denied", () => plugin()?.state === "denying");
    assert.match(plugin()!.error, pattern);
    assert(process.resourceUsage().maxRSS * 1024 - before < gib / 8, "far less than what it would unpack to");
    sickness = undefined;
    await until("the plugin is there", () => plugin()?.state === "ready");
  });
}
