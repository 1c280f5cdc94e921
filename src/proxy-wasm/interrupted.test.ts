import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { createSharedData } from "./shared-data.ts";
import { openSharedHeap } from "./shared-heap.ts";
import { openSharedIndex } from "./shared-index.ts";
import { openSharedMemory } from "./shared-memory.ts";
import { createSharedQueues } from "./shared-queues.ts";
import { createStores } from "./stores.ts";

/** Stores whose operations end at the n-th write of what others rely on, as if their thread had been terminated there. */
function openInterrupted(buffer: SharedArrayBuffer, writes: { left: number }) {
  const memory = openSharedMemory(buffer);
  const interrupted = {
    ...memory,
    put(at: number, value: number) {
      memory.put(at, value);
      if (--writes.left === 0) throw new Error("interrupted");
    },
  };
  const heap = openSharedHeap(interrupted);
  const index = openSharedIndex(interrupted, heap);
  return {
    data: createSharedData(interrupted, heap, index, "vm"),
    queues: createSharedQueues(interrupted, heap, index),
  };
}

const key = fc.constantFrom("a", "b", "c");
const operation = fc.oneof(
  fc.record({ set: key, size: fc.nat(2000) }),
  fc.record({ enqueue: fc.nat(2000) }),
  fc.constant({ dequeue: true }),
);
const step = fc.tuple(operation, fc.integer({ min: 1, max: 40 }));

test("an operation that is interrupted anywhere has not happened, and all others have", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const stores = createStores({ maxBytes: 1 << 20 });
      const writes = { left: 0 };
      const { data, queues } = openInterrupted(stores.share().memory, writes);
      const queue = queues.register("vm", "q", () => {}) as number;
      const values = new Map<string, Buffer>();
      const messages: Buffer[] = [];
      for (const [i, [next, left]] of steps.entries()) {
        const content = Buffer.alloc("set" in next ? next.size : "enqueue" in next ? next.enqueue : 0, i);
        writes.left = left;
        try {
          if ("set" in next) {
            data.set(next.set, content, 0);
            values.set(next.set, content);
          } else if ("enqueue" in next) {
            queues.enqueue(queue, content);
            messages.push(content);
          } else {
            queues.dequeue(queue);
            messages.shift();
          }
        } catch (error) {
          assert.match(String(error), /interrupted/);
        }
        writes.left = 0;
        for (const [name, value] of values) assert.equal(Buffer.compare(data.get(name)!.value, value), 0);
      }
      for (const message of messages)
        assert.equal(Buffer.compare(queues.dequeue(queue) as Uint8Array, message), 0);
      assert.equal(queues.dequeue(queue), "empty");
      stores.deleteVm("vm");
      assert.equal(stores.usedBytes(), 0);
      assert.equal(stores.sharedData("vm").set("all", Buffer.alloc(800_000), 0), true);
    }),
  );
});
