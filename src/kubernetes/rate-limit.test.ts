import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackoff } from "./backoff.ts";
import { createRateLimit } from "./rate-limit.ts";

test("a burst passes at once, and what follows waits its turn or for the end", async () => {
  // Time stands still.
  const limit = createRateLimit(1000, 3, () => 0);
  await Promise.all([limit(), limit(), limit()]);
  const order: number[] = [];
  await Promise.all([limit().then(() => order.push(1)), limit().then(() => order.push(2))]);
  assert.deepEqual(order, [1, 2]);
  const ending = new AbortController();
  const slow = createRateLimit(0.001, 1, () => 0);
  await slow();
  const waiting = slow(ending.signal);
  ending.abort(new Error("the end"));
  await assert.rejects(waiting, /the end/);
  await assert.rejects(slow(ending.signal), /the end/);
});

test("waiting times double up to the longest, and begin anew", () => {
  const backoff = createBackoff({ firstMs: 100, longestMs: 500 }, () => 1);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => backoff.next()),
    [100, 200, 400, 500],
  );
  assert.equal(backoff.next(9000), 9000);
  backoff.reset();
  assert.equal(backoff.next(), 100);
  assert.equal(createBackoff({ firstMs: 100, longestMs: 500 }, () => 0).next(), 50);
});
