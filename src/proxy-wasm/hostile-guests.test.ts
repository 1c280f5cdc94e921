import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { guestModule } from "../../test/peers/guest-module.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { SystemError } from "../system-error.ts";
import { type Message, type Trial, tryPlugin } from "./index.ts";

// The built one: it starts in a tenth of the time that one from the sources takes.
const built = new URL("../../dist/proxy-wasm/trial-worker.js", import.meta.url);
const startWorker = (workerData: object) => new Worker(built, { workerData });

const request: Message = {
  headers: [
    [":path", "/"],
    [":method", "POST"],
    [":authority", "a"],
    [":scheme", "http"],
  ],
  body: ["one", "two"],
};

const tryGuest = (bytes: Uint8Array, requests: Trial["requests"], guestLimitMs: number) =>
  tryPlugin(
    { bytes, plugin: { name: "guest", configuration: "{}" }, maxMemoryBytes: 64 * 2 ** 20, requests },
    { startWorker, guestLimitMs, limitMs: 10_000 },
  );

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("100 endless loops are ended, and neither memory nor a thread of them is left", async () => {
  const loop = guestModule({ callbacks: { on_request_headers: ["loop"] } });
  const endLoop = () =>
    assert.rejects(tryGuest(loop, [{ request }], 20), { code: "timeout", message: /did not return/ });
  for (let i = 0; i < 5; i++) await endLoop();
  const before = await inUse();
  for (let i = 0; i < 100; i++) await endLoop();
  const after = await inUse();
  assert.deepEqual(after.resources, before.resources);
  const kept = after.bytes - before.bytes;
  assert.ok(kept < 4 * 2 ** 20, `100 loops keep ${kept} bytes`);
});

async function inUse() {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort/.test(name));
  return { bytes: heapUsed + external + arrayBuffers, resources };
}

test("plugins with bytes changed anywhere do what they like, and only to themselves", async () => {
  const plugins = await Promise.all(
    ["key-auth", "transformer"].map((name) =>
      readFile(new URL(`../../build/plugins/${name}.wasm`, import.meta.url)),
    ),
  );
  const edits = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
    minLength: 1,
    maxLength: 8,
  });
  const codes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...plugins), edits, async (plugin, changes) => {
      const bytes = Buffer.from(plugin);
      for (const [place, byte] of changes) bytes[Math.floor(place * (bytes.length - 1))] = byte;
      const failure = await tryGuest(bytes, [{ request }], 2000).catch((error: unknown) => error);
      if (!(failure instanceof Error)) return;
      assert.ok(failure instanceof SystemError, failure.stack);
      codes.add(failure.code);
    }),
    { numRuns: fuzzRuns(60) },
  );
  for (const code of codes) assert.match(code, /^(module-invalid|plugin-start|timeout)$/);
});
