import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { type WasmMemory, wasm } from "../../src/proxy-wasm/web-assembly.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { compileModule } from "./modules.ts";

interface Guest {
  readonly memory: WasmMemory;
  _initialize(): void;
  beginCallback(): void;
  keep(id: number, length: number): void;
  forget(id: number): void;
  check(id: number): number;
  addName(id: number): void;
  checkNames(): number;
  receive(size: number): void;
  checkReceived(size: number): number;
}

describe("the collector of our plugins", () => {
  let compiled: object;
  before(async () => {
    const file = await compileModule("sdk/fixture/collector.ts", "build/test/collector.wasm");
    compiled = await wasm.compile(await readFile(file));
  });

  function start(): Guest {
    const nothing = () => 0;
    const env = new Proxy({}, { get: () => nothing });
    const guest = new wasm.Instance(compiled, { env }).exports as unknown as Guest;
    guest._initialize();
    return guest;
  }

  it("keeps what is held, whatever is kept and forgotten in between", () => {
    const id = fc.integer({ min: 0, max: 7 });
    const step = fc.oneof(
      fc.tuple(fc.constant("keep" as const), id, fc.integer({ min: 1, max: 3000 })),
      fc.tuple(fc.constant("forget" as const), id, fc.constant(0)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const [guest, expected] = [start(), new Map<number, number>()];
        for (const [what, at, length] of steps) {
          guest.beginCallback();
          guest[what](at, length);
          if (what === "keep") expected.set(at, length);
          else expected.delete(at);
          for (let each = 0; each < 8; each++) assert.equal(guest.check(each), expected.get(each) ?? 0);
        }
      }),
      { numRuns: fuzzRuns(10) },
    );
  });

  it("does not grow with what is forgotten", () => {
    const guest = start();
    const run = (count: number) => {
      for (let i = 0; i < count; i++) {
        guest.beginCallback();
        guest.keep(i % 3, 500);
      }
    };
    run(100);
    const size = guest.memory.buffer.byteLength;
    run(5000);
    assert.equal(guest.memory.buffer.byteLength, size);
  });

  it("keeps what a part of the module has begun to hold", () => {
    const guest = start();
    for (let i = 1; i < 5000; i++) {
      guest.beginCallback();
      guest.addName(i);
      guest.keep(0, 50);
    }
    assert.equal(guest.checkNames(), 5000);
  });

  it("keeps what the host has handed over until it is taken", () => {
    const guest = start();
    for (const size of [0, 1, 4096, 4097, 100_000]) {
      guest.receive(size);
      for (let i = 0; i < 200; i++) {
        guest.beginCallback();
        guest.keep(0, 500);
      }
      if (size > 4096) assert.equal(guest.checkReceived(size), 1);
    }
  });
});
