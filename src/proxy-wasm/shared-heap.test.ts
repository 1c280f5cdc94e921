import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { formatHeap, openSharedHeap, type SharedHeap } from "./shared-heap.ts";
import { bucketTable, openSharedMemory, type SharedMemory } from "./shared-memory.ts";

const heapBytes = 64 * 1024;

function makeHeap(): { memory: SharedMemory; heap: SharedHeap } {
  const memory = openSharedMemory(new SharedArrayBuffer(bucketTable * 4 + heapBytes));
  formatHeap(memory, bucketTable);
  return { memory, heap: openSharedHeap(memory) };
}

interface Allocated {
  readonly block: number;
  readonly content: Buffer;
}

const step = fc.oneof(
  fc.record({ allocate: fc.oneof(fc.nat(100), fc.nat(5000), fc.nat(heapBytes)) }),
  fc.record({ free: fc.nat() }),
);

/** Allocates, fills and frees; what is allocated must not be touched by anything else. */
function follow(steps: readonly ({ allocate: number } | { free: number })[]): void {
  const { memory, heap } = makeHeap();
  const live: Allocated[] = [];
  for (const [i, next] of steps.entries()) {
    if ("allocate" in next) {
      const block = memory.locked(() => heap.allocate(next.allocate));
      const content = Buffer.alloc(next.allocate, i);
      if (block === 0) continue;
      heap.write(block, content);
      live.push({ block, content });
    } else if (live.length > 0) {
      const [gone] = live.splice(next.free % live.length, 1);
      memory.locked(() => heap.free(gone!.block));
    }
    for (const { block, content } of live)
      assert.equal(Buffer.compare(heap.read(block, content.length), content), 0);
  }
  for (const { block } of live) memory.locked(() => heap.free(block));
  assert.equal(heap.usedBytes(), 0);
  // All is one block again.
  assert.notEqual(
    memory.locked(() => heap.allocate(heapBytes - 64)),
    0,
  );
}

test("blocks never overlap, and freed space is one again whatever its sizes were", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), follow), { numRuns: fuzzRuns(300) });
});

test("a heap that is full says so, and has room again after a block was freed", () => {
  const { memory, heap } = makeHeap();
  const take = () => memory.locked(() => heap.allocate(1000));
  const blocks: number[] = [];
  for (let block = take(); block !== 0; block = take()) blocks.push(block);
  assert.ok(blocks.length > 60);
  assert.equal(
    memory.locked(() => heap.allocate(2 ** 40)),
    0,
  );
  memory.locked(() => heap.free(blocks[17]!));
  assert.equal(take(), blocks[17]);
});

test("what is allocated is aligned for numbers of 64 bits", () => {
  const { memory, heap } = makeHeap();
  for (let size = 0; size < 40; size++) assert.equal(memory.locked(() => heap.allocate(size)) % 2, 0);
});
