import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { until } from "../../test/peers/until.ts";
import { attachStores, createStores, type Stores } from "./stores.ts";

const ignore = () => {};
const bytes = (value: string) => Buffer.from(value);
const text = (value: Uint8Array | "empty" | undefined) =>
  value instanceof Uint8Array ? Buffer.from(value).toString() : value;

function register({ queues }: Stores, vmId: string, name: string, onReady: () => void = ignore): number {
  const id = queues.register(vmId, name, onReady);
  assert.ok(id !== "full");
  return id;
}

test("a queue is its vm_id and its name, and ids count from 1", () => {
  const stores = createStores();
  assert.equal(register(stores, "vm", "a"), 1);
  assert.equal(register(stores, "vm", "b"), 2);
  assert.equal(register(stores, "other", "a"), 3);
  assert.equal(register(stores, "vm", "a"), 1);
  assert.equal(stores.queues.resolve("vm", "b"), 2);
  assert.equal(stores.queues.resolve("vm", "c"), undefined);
});

test("messages come out as they went in", () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined }), { maxLength: 60 }),
      (steps) => {
        const stores = createStores({ maxBytes: 1 << 20 });
        const id = register(stores, "vm", "q");
        const used = stores.usedBytes();
        const model: Uint8Array[] = [];
        for (const added of steps) {
          if (added) {
            assert.equal(stores.queues.enqueue(id, added), true);
            model.push(added);
          } else assert.deepEqual(stores.queues.dequeue(id), model.shift() ?? "empty");
        }
        for (const left of model) assert.deepEqual(stores.queues.dequeue(id), left);
        assert.equal(stores.queues.dequeue(id), "empty");
        assert.equal(stores.usedBytes(), used);
      },
    ),
  );
});

test("a queue that nobody registered is unknown", () => {
  const { queues } = createStores();
  for (const id of [0, 1, -1, 4096, 2 ** 31, 4_294_967_295]) {
    assert.equal(queues.enqueue(id, bytes("x")), false);
    assert.equal(queues.dequeue(id), undefined);
  }
});

test("the owner is called once for each message, later and not within the call", async () => {
  const stores = createStores();
  let calls = 0;
  const id = register(stores, "vm", "q", () => calls++);
  for (let i = 0; i < 5; i++) stores.queues.enqueue(id, bytes("x"));
  assert.equal(calls, 0);
  await until("five calls", () => calls === 5);
});

test("who registers last is called, and finds what was there", async () => {
  const stores = createStores();
  const other = attachStores(stores.share());
  const calls: string[] = [];
  const id = register(stores, "vm", "q", () => calls.push("first"));
  stores.queues.enqueue(id, bytes("kept"));
  await until("the first is called", () => calls.length === 1);
  assert.equal(
    register(other, "vm", "q", () => calls.push("second")),
    id,
  );
  assert.equal(text(other.queues.dequeue(id)), "kept");
  stores.queues.enqueue(id, bytes("next"));
  await until("the second is called", () => calls.length === 2);
  assert.deepEqual(calls, ["first", "second"]);
});

test("what became ready before its owner saw it is told to the next one", async () => {
  const stores = createStores();
  const other = attachStores(stores.share());
  const calls: string[] = [];
  const id = register(stores, "vm", "q", () => calls.push("first"));
  register(other, "vm", "another");
  stores.queues.enqueue(id, bytes("x"));
  register(other, "vm", "q", () => calls.push("second"));
  await until("somebody is called", () => calls.length > 0);
  assert.deepEqual(calls, ["second"]);
});

test("an owner that keeps its own queue filled leaves the event loop to others", async () => {
  const stores = createStores();
  let [calls, seen] = [0, false];
  const id: number = register(stores, "vm", "q", () => {
    stores.queues.dequeue(id);
    calls++;
    if (!seen) stores.queues.enqueue(id, bytes("again"));
  });
  stores.queues.enqueue(id, bytes("x"));
  await until("many calls, and this timer between them", () => calls > 20);
  seen = true;
});

test("what is full refuses and has room again after a message was taken", () => {
  const stores = createStores({ maxBytes: 1 << 20 });
  const id = register(stores, "vm", "q");
  const message = Buffer.alloc(10_000);
  while (stores.queues.enqueue(id, message) === true);
  assert.equal(stores.queues.enqueue(id, message), "full");
  stores.queues.dequeue(id);
  assert.equal(stores.queues.enqueue(id, message), true);
});

test("queues are bounded in number, and the ids of deleted ones are free again", () => {
  const stores = createStores();
  const ids = Array.from({ length: 4096 }, (_, i) => stores.queues.register("vm", `${i}`, ignore));
  assert.deepEqual(ids.slice(-2), [4095, "full"]);
  stores.queues.enqueue(1, bytes("x"));
  stores.deleteVm("vm");
  assert.equal(stores.usedBytes(), 0);
  assert.equal(stores.queues.enqueue(1, bytes("x")), false);
  assert.equal(stores.queues.register("other", "q", ignore), 1);
});
