import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { guestModule, type Step } from "../../test/peers/guest-module.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { createGuestHost } from "../../test/peers/start-guest.ts";
import { type AbiVersion, hostFunctions } from "./abi.ts";
import { exchange, MemoryStream, type Message } from "./index.ts";
import { signatureOf } from "./signatures.ts";

const request: Message = {
  headers: [
    [":path", "/"],
    [":method", "POST"],
    [":authority", "a"],
    [":scheme", "http"],
  ],
  body: ["one", "two"],
  trailers: [["t", "1"]],
};
const response: Message = { headers: [[":status", "200"]], body: ["three"], trailers: [["t", "2"]] };

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that are in use after garbage is gone. Buffers of Wasm memories among them. */
async function usedBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

/** Runs something many times and fails if it keeps more than a little of what it used. */
async function assertKeepsNothing(times: number, run: (round: number) => Promise<void>): Promise<void> {
  for (let i = 0; i < 200; i++) await run(i);
  const before = await usedBytes();
  for (let i = 0; i < times; i++) await run(i);
  const kept = (await usedBytes()) - before;
  // The memory of a single guest is 128 KiB.
  assert.ok(kept < 2 * 1024 * 1024, `${times} rounds keep ${kept} bytes`);
}

test("10,000 traps keep no memory", async () => {
  const guest = createGuestHost({ log: () => {}, overrides: { monotonicNow: () => (now += 10n ** 12n) } });
  let now = 0n;
  const plugin = await guest.start(
    { callbacks: { on_request_headers: ["trap"] } },
    { failStrategy: "reload" },
  );
  await assertKeepsNothing(10_000, async () => {
    const { details } = await exchange([plugin], request);
    assert.equal(details, "wasm_fail_stream");
  });
  assert.deepEqual([plugin.status().failures, guest.host.vmCount, plugin.status().streams], [10_200, 1, 0]);
});

test("10,000 new configurations keep no memory", async () => {
  const guest = createGuestHost({ log: () => {} });
  const callbacks = {
    on_configure: [
      { call: "proxy_set_tick_period_milliseconds", with: [60_000] },
      { call: "proxy_register_shared_queue", with: ["queue", "OUT"] },
      { call: "proxy_define_metric", with: [0, "metric", "OUT"] },
    ],
  } as const;
  let current = await guest.start({ callbacks });
  await assertKeepsNothing(10_000, async (round) => {
    const next = await guest.start(
      { callbacks },
      { vmConfiguration: String(round % 3), configuration: String(round) },
    );
    current.close();
    current = next;
    await exchange([current], request);
  });
  assert.equal(guest.host.vmCount, 1);
  current.close();
  assert.equal(guest.host.vmCount, 0);
});

/** Of the functions whose signatures are not the ABI's. */
const otherSignatures: Readonly<Record<string, string>> = {
  pthread_equal: "ii",
  emscripten_notify_memory_growth: "i",
  envoy_resolve_dns: "iii",
};
const numbers = fc.constantFrom(
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  16,
  20,
  24,
  100,
  1024,
  65_536,
  131_071,
  131_072,
  0x7fff_ffff,
  -1,
  -2,
  -65_536,
);

function anyCall(names: readonly string[], abi: AbiVersion): fc.Arbitrary<Step> {
  return fc.constantFrom(...names).chain((name) => {
    const letters = Array.from((signatureOf(name, abi) ?? otherSignatures[name]!).replace(/>.*/, ""));
    const values = letters.map((letter) => numbers.map((value) => (letter === "I" ? BigInt(value) : value)));
    return fc.tuple(...values).map((all): Step => ({ call: name, with: all }));
  });
}

test("no call that a guest makes, with whatever numbers, takes more than its own Vm", async () => {
  for (const abi of ["0.1.0", "0.2.100"] as const) {
    const names = [...hostFunctions(abi)];
    const steps = fc.array(
      fc.oneof(
        { weight: 20, arbitrary: anyCall(names, abi) },
        { weight: 1, arbitrary: fc.constantFrom<Step>("trap", { give: 1 }, { give: 9 }, { grow: 1 }) },
      ),
      { maxLength: 12 },
    );
    const callbacks = fc.record({
      on_configure: fc.constant<Step[]>([]),
      on_request_headers: steps,
      on_request_body: steps,
      on_request_trailers: steps,
      on_response_headers: steps,
      on_response_body: steps,
      on_response_trailers: steps,
      on_tick: steps,
      on_http_call_response: steps,
      on_log: steps,
      on_done: steps,
    });
    await fc.assert(
      fc.asyncProperty(callbacks, async (generated) => {
        const guest = createGuestHost({
          httpCall: () => undefined,
          redisCall: () => Buffer.from("+OK"),
          grpcCall: () => () => {},
          grpcStream: () => ({ send() {}, close() {}, cancel() {} }),
        });
        const neighbour = await guest.start({ callbacks: {} }, { vmId: "neighbour" });
        const plugin = await guest.start({ abi, callbacks: generated });
        const stream = new MemoryStream([neighbour, plugin], { bufferLimitBytes: 4 });
        stream.sendRequest(request);
        stream.sendResponse(response);
        await new Promise((resolve) => setImmediate(resolve));
        stream.end();
        assert.deepEqual([neighbour.status().state, plugin.status().streams], ["running", 0]);
        plugin.close();
        neighbour.close();
      }),
      { numRuns: fuzzRuns(150) },
    );
  }
});

test("no bytes that are given as a module do more than be refused", async () => {
  const guest = createGuestHost();
  const good = Buffer.from(
    guestModule({
      callbacks: { on_request_headers: [{ call: "proxy_add_header_map_value", with: [0, "a", "b"] }] },
    }),
  );
  const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(edits, async (changes) => {
      const bytes = Buffer.from(good);
      for (const [at, byte] of changes) bytes[at] = byte;
      // A changed instruction may loop for ever: what runs guests of others has a watchdog.
      await guest.host.compile(bytes, "fuzzed").catch((error) => assert.equal(error.code, "module-invalid"));
    }),
    { numRuns: fuzzRuns(1000) },
  );
});
