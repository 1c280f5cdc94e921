import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../test/peers/properties.ts";
import { createSortedValues } from "./sorted-values.ts";

const keys = fc.integer({ min: 0, max: 60 }).map(String);
const updates = fc.array(
  fc.record({
    changed: fc.array(fc.tuple(keys, fc.nat()), { maxLength: 30 }),
    removed: fc.array(keys, { maxLength: 10 }),
  }),
  { maxLength: 8 },
);

test("values are in the order of their keys as without a past, few that change and many, and no list changes afterwards", () => {
  fc.assert(
    fc.property(updates, (all) => {
      const sorted = createSortedValues<number>();
      const known = new Map<string, number>();
      const given: { list: readonly number[]; was: readonly number[] }[] = [];
      for (const { changed, removed } of all) {
        for (const [key, value] of changed) known.set(key, value);
        for (const key of removed) known.delete(key);
        const list = sorted.update(new Map(changed), removed);
        const expected = [...known.keys()].sort().map((key) => known.get(key));
        assert.deepEqual(list, expected);
        given.push({ list, was: [...list] });
      }
      for (const { list, was } of given) assert.deepEqual(list, was);
    }),
    { numRuns: fuzzRuns(500) },
  );
});
