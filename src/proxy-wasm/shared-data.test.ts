import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { createStores } from "./stores.ts";

const text = (value: { value: Uint8Array } | undefined) => value && Buffer.from(value.value).toString();
const bytes = (value: string) => Buffer.from(value);

test("a value is set by whoever has its cas, and each one gets another", () => {
  const data = createStores().sharedData("vm");
  assert.equal(data.get("key"), undefined);
  assert.equal(data.set("key", bytes("one"), 0), true);
  const first = data.get("key")!;
  assert.ok(first.cas > 0);
  assert.equal(data.set("key", bytes("two"), first.cas), true);
  assert.equal(data.set("key", bytes("three"), first.cas), false);
  assert.equal(text(data.get("key")), "two");
  assert.equal(data.set("key", bytes("four"), 0), true);
  assert.equal(text(data.get("key")), "four");
});

test("a key that is not there is set whatever the cas, and values of one counter never share theirs", () => {
  const data = createStores().sharedData("vm");
  assert.equal(data.set("a", bytes("1"), 99), true);
  assert.equal(data.set("b", bytes("2"), 0), true);
  assert.notEqual(data.get("a")!.cas, data.get("b")!.cas);
});

test("vm_ids do not see each other's data, and the same vm_id does", () => {
  const stores = createStores();
  stores.sharedData("a").set("bc", bytes("1"), 0);
  assert.equal(stores.sharedData("ab").get("c"), undefined);
  assert.equal(text(stores.sharedData("a").get("bc")), "1");
});

test("a value that was read is a copy", () => {
  const data = createStores().sharedData("vm");
  data.set("k", bytes("x"), 0);
  const { value } = data.get("k")!;
  assert.ok(value.buffer instanceof ArrayBuffer);
  data.set("k", bytes("y"), 0);
  assert.equal(value[0], 120);
});

const key = fc.constantFrom("", "a", "b", "ü\0", "long".repeat(50));
const step = fc.record({
  vm: fc.constantFrom("", "v", "va"),
  key,
  size: fc.nat(3000),
  stale: fc.boolean(),
  forget: fc.nat(20),
});

test("any sequence does what a map does", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const stores = createStores({ maxBytes: 1 << 20 });
      const model = new Map<string, Map<string, Buffer>>();
      for (const [i, { vm, key, size, stale, forget }] of steps.entries()) {
        const data = stores.sharedData(vm);
        const known = data.get(key);
        const content = Buffer.alloc(size, i);
        const wrong = known !== undefined && stale;
        assert.equal(data.set(key, content, wrong ? known.cas + 1 : (known?.cas ?? 0)), !wrong);
        if (!wrong) model.set(vm, new Map([...(model.get(vm) ?? []), [key, content]]));
        if (forget === 0) {
          stores.deleteVm(vm);
          model.delete(vm);
        }
      }
      for (const [vm, entries] of model)
        for (const [name, content] of entries)
          assert.equal(Buffer.compare(stores.sharedData(vm).get(name)!.value, content), 0);
      for (const vm of ["", "v", "va"]) stores.deleteVm(vm);
      assert.equal(stores.usedBytes(), 0);
    }),
  );
});

test("memory is the same after a million sets of changing sizes", () => {
  const stores = createStores({ maxBytes: 2 << 20 });
  const data = stores.sharedData("vm");
  const content = Buffer.alloc(8192, 1);
  let used = 0;
  for (let i = 0; i < 1_000_000; i++) {
    // Each key goes through all sizes; after a round of them all is as it was.
    const size = (i * 31 + (i >> 8) * 977) % 8192;
    if (data.set(`key-${i % 128}`, content.subarray(0, size), 0) !== true) assert.fail(`no room at ${i}`);
    if (i === 1000) used = stores.usedBytes();
  }
  for (let i = 0; i < 128; i++) data.set(`key-${i}`, content.subarray(0, 100), 0);
  assert.ok(used > 0 && stores.usedBytes() < 128 * 256, `${used} then ${stores.usedBytes()}`);
});

test("what is full refuses, keeps what it has, and takes again what is smaller", () => {
  const data = createStores({ maxBytes: 1 << 20 }).sharedData("vm");
  assert.equal(data.set("big", Buffer.alloc(2 << 20), 0), "full");
  const block = Buffer.alloc(10_000);
  let count = 0;
  while (data.set(`${count}`, block, 0) === true) count++;
  assert.ok(count > 60 && count < 105, `${count}`);
  assert.equal(data.get("0")?.value.length, 10_000);
  assert.equal(data.set("0", Buffer.alloc(0), 0), true);
  assert.equal(data.set("other", Buffer.alloc(9_000), 0), true);
});

test("a key above 64 KiB is refused, and is not there", () => {
  const data = createStores().sharedData("vm");
  assert.equal(data.set("k".repeat(65_000), bytes("x"), 0), true);
  const long = "k".repeat(65_536);
  assert.equal(data.set(long, bytes("x"), 0), "full");
  assert.equal(data.get(long), undefined);
});
