import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { endInTime } from "./stream-life.ts";
import type { StreamRefusal } from "./stream-refusal.ts";

beforeEach((t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  (t as unknown as { after(run: () => void): void }).after(() => mock.timers.reset());
});

function start(maxAgeMs: number, expiresAt?: number) {
  const ends: (StreamRefusal | undefined)[] = [];
  const gone = new AbortController();
  endInTime({ maxAgeMs, expiryGraceMs: 10 }, expiresAt, (refusal) => ends.push(refusal), gone.signal);
  return { ends, gone };
}

test("a stream ends in peace between its age and a tenth more", () => {
  const { ends } = start(1000);
  mock.timers.tick(999);
  assert.deepEqual(ends, []);
  mock.timers.tick(102);
  assert.deepEqual(ends, [undefined]);
});

test("a stream ends with a reason a while after what proved its client", () => {
  const { ends } = start(Number.POSITIVE_INFINITY, Date.now() + 500);
  mock.timers.tick(509);
  assert.equal(ends.length, 0);
  mock.timers.tick(1);
  assert.deepEqual(
    ends.map((refusal) => refusal?.message),
    ["the token has expired: connect again with a new one"],
  );
});

test("what had expired before is given the same while", () => {
  const { ends } = start(Number.POSITIVE_INFINITY, Date.now() - 500);
  mock.timers.tick(10);
  assert.equal(ends.length, 1);
});

test("a stream that is gone is not ended", () => {
  const { ends, gone } = start(1000, Date.now() + 500);
  gone.abort();
  mock.timers.tick(10_000);
  assert.deepEqual(ends, []);
});
