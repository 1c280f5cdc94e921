import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { type GuestOptions, guestModule } from "../../test/peers/guest-module.ts";
import { createHeartbeat, type Message, type TrialOptions, tryPlugin, watchHeartbeat } from "./index.ts";

// The runner's translation of TypeScript does not reach other threads.
const program = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(new URL("./trial-worker.ts", import.meta.url).href)})))`;
const startWorker = (workerData: object) => new Worker(program, { eval: true, workerData });

const request: Message = {
  headers: [
    [":path", "/"],
    [":method", "GET"],
    [":authority", "a"],
    [":scheme", "http"],
  ],
};
const tryGuest = (guest: GuestOptions, options?: TrialOptions) =>
  tryPlugin(
    { bytes: guestModule(guest), plugin: { name: "guest" }, requests: [{ request }] },
    { startWorker, ...options },
  );

test("a plugin is tried in a thread of its own, with requests and what it logs", async () => {
  const bytes = await readFile(new URL("../../build/plugins/custom-response.wasm", import.meta.url));
  const result = await tryPlugin(
    {
      bytes,
      plugin: { name: "custom-response", configuration: JSON.stringify({ status_code: 418, body: "tea" }) },
      requests: [{ request }, { request }],
    },
    { startWorker },
  );
  assert.deepEqual(
    result.outcomes.map(({ response }) => Buffer.from(response!.body).toString()),
    ["tea", "tea"],
  );
  assert.ok(result.memoryBytes > 0);
});

test("what is refused is refused with the reason", async () => {
  await assert.rejects(tryPlugin({ bytes: Uint8Array.of(1), plugin: { name: "p" } }, { startWorker }), {
    code: "module-invalid",
    message: /^p: broken Wasm module/,
  });
  await assert.rejects(tryGuest({ callbacks: { on_configure: [{ give: 0 }] } }), {
    code: "plugin-start",
    message: /refused its configuration/,
  });
});

test("a guest that never returns is ended, wherever it loops", async () => {
  const message = /guest did not return within 100 ms/;
  const guests: GuestOptions[] = [
    { start: ["loop"], callbacks: {} },
    { callbacks: { on_configure: ["loop"] } },
    { callbacks: { on_request_headers: ["loop"] } },
  ];
  for (const guest of guests)
    await assert.rejects(tryGuest(guest, { guestLimitMs: 100 }), { code: "timeout", message });
});

test("a guest that holds a request for ever is ended too", async () => {
  await assert.rejects(tryGuest({ callbacks: { on_request_headers: [{ give: 4 }] } }, { limitMs: 500 }), {
    code: "timeout",
  });
});

test("a heart that beats is not stuck", async () => {
  const heartbeat = createHeartbeat();
  let stuck = false;
  const unwatch = watchHeartbeat(heartbeat.memory, 40, () => {
    stuck = true;
  });
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  for (let i = 0; i < 10; i++) {
    heartbeat.enter();
    await pause(1);
    heartbeat.leave();
  }
  assert.equal(stuck, false);
  heartbeat.enter();
  while (!stuck) await pause(10);
  unwatch();
});
