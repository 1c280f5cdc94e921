import assert from "node:assert/strict";
import { test } from "node:test";
import { createTurns } from "./take-turns.ts";

test("so much work runs at once, the rest in order, and a failure gives its place on", async () => {
  const inTurn = createTurns(2);
  const ends: (() => void)[] = [];
  const began: number[] = [];
  const work = (index: number) =>
    inTurn(async () => {
      began.push(index);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (index === 0) throw new Error("failed");
      return index;
    });
  const all = Promise.allSettled([0, 1, 2, 3].map(work));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  assert.deepEqual(began, [0, 1]);
  ends[0]!();
  await turn();
  assert.deepEqual(began, [0, 1, 2]);
  ends[2]!();
  await turn();
  assert.deepEqual(began, [0, 1, 2, 3]);
  ends[1]!();
  ends[3]!();
  assert.deepEqual(
    (await all).map((result) => (result.status === "fulfilled" ? result.value : "failed")),
    ["failed", 1, 2, 3],
  );
});
