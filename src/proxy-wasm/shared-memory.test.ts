import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { SystemError } from "../system-error.ts";
import { bucketTable, openSharedMemory, threadWord, unknownThread } from "./shared-memory.ts";

const makeMemory = () => openSharedMemory(new SharedArrayBuffer((bucketTable + 64) * 4));
const write = fc.tuple(fc.nat(63), fc.integer());

test("what was put stays, and nothing of it when the body throws", () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 100 }), fc.array(write, { maxLength: 100 }), (kept, undone) => {
      const memory = makeMemory();
      const putAll = (writes: readonly (readonly [number, number])[]) => {
        for (const [at, value] of writes) memory.put(bucketTable + at, value);
      };
      memory.locked(() => putAll(kept));
      const before = memory.words.slice(bucketTable);
      assert.throws(
        () =>
          memory.locked(() => {
            putAll(undone);
            throw new Error("in the middle");
          }),
        /in the middle/,
      );
      assert.deepEqual(memory.words.slice(bucketTable), before);
      for (const [at, value] of new Map(kept)) assert.equal(before[at], value);
      assert.equal(
        memory.locked(() => "free again"),
        "free again",
      );
    }),
  );
});

test("more writes than the journal has room for are an error, and are undone", () => {
  const memory = makeMemory();
  const tooMany = () => {
    for (let i = 0; i < 1000; i++) memory.put(bucketTable, i);
  };
  assert.throws(() => memory.locked(tooMany), /journal/);
  assert.equal(memory.words[bucketTable], 0);
});

test("a thread whose stack was too small inside gets the lock again", () => {
  const memory = makeMemory();
  const recurse = (): number => 1 + recurse();
  assert.throws(() => memory.locked(recurse), RangeError);
  const deeper = (): void => {
    try {
      deeper();
    } finally {
      memory.locked(() => memory.put(bucketTable, 7));
    }
  };
  assert.throws(deeper, RangeError);
  memory.locked(() => memory.put(bucketTable, 8));
  assert.equal(memory.words[bucketTable], 8);
});

test("each that opens the memory has a place of its own", () => {
  const buffer = new SharedArrayBuffer((bucketTable + 64) * 4);
  const places = [1, 2, 3].map(() => openSharedMemory(buffer).thread);
  assert.deepEqual(places, [1, 2, 3]);
});

test("a thread that stays in the lock is waited for no longer than the limit", () => {
  const buffer = new SharedArrayBuffer((bucketTable + 64) * 4);
  const [inside, outside] = [openSharedMemory(buffer), openSharedMemory(buffer, 50)];
  inside.locked(() => {
    inside.put(bucketTable, 7);
    assert.throws(
      () => outside.locked(() => {}),
      (error) => error instanceof SystemError && error.code === "timeout",
    );
  });
  assert.equal(
    outside.locked(() => outside.words[bucketTable]),
    7,
  );
});

test("where nobody knows whether a thread is there, it counts as gone after the limit", () => {
  const buffer = new SharedArrayBuffer((bucketTable + 64) * 4);
  const [inside, outside] = [openSharedMemory(buffer), openSharedMemory(buffer, 50)];
  inside.words[threadWord(inside.thread)] = unknownThread;
  inside.locked(() => {
    inside.put(bucketTable, 7);
    outside.locked(() => outside.put(bucketTable + 1, outside.words[bucketTable]! + 1));
  });
  assert.deepEqual([...inside.words.subarray(bucketTable, bucketTable + 2)], [0, 1]);
});
