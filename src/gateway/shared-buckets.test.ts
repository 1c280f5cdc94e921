import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { createStores } from "../proxy-wasm/index.ts";
import { createSharedBuckets } from "./shared-buckets.ts";

test("a bucket begins full, is filled all the time, and holds no more than it may", () => {
  let now = 1000;
  const buckets = createSharedBuckets(createStores(), () => now);
  const limit = { maxTokens: 2, tokensPerFill: 1, fillMs: 100 };
  const take = () => buckets.take("a", limit).isTaken;
  assert.deepEqual([take(), take(), take()], [true, true, false]);
  now += 99;
  assert.equal(take(), false);
  now += 1;
  assert.deepEqual([take(), take()], [true, false]);
  now += 10_000;
  assert.deepEqual([take(), take(), take()], [true, true, false]);
  assert.equal(buckets.take("b", limit).isTaken, true);
  assert.equal(buckets.take("a", { ...limit, maxTokens: 1 }).isTaken, true);
});

test("whoever takes, in any order and at any time, gets together what one alone would", () => {
  const takes = fc.array(fc.record({ who: fc.nat(2), afterMs: fc.nat(150) }), { maxLength: 60 });
  fc.assert(
    fc.property(takes, fc.integer({ min: 1, max: 5 }), (all, maxTokens) => {
      let now = 0;
      const limit = { maxTokens, tokensPerFill: 2, fillMs: 100 };
      const shared = createStores({ maxBytes: 1 << 20 });
      const several = [0, 1, 2].map(() => createSharedBuckets(shared, () => now));
      const alone = createSharedBuckets(createStores({ maxBytes: 1 << 20 }), () => now);
      for (const { who, afterMs } of all) {
        now += afterMs;
        assert.deepEqual(several[who]!.take("p", limit), alone.take("p", limit));
      }
    }),
    { numRuns: fuzzRuns(50) },
  );
});
