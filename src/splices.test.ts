import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fc, fuzzRuns } from "../test/peers/properties.ts";
import { mapByPlace, splicesBetween } from "./splices.ts";

/** Lists of small numbers, so that many are alike, and an item is in a list more than once. */
const lists = fc.array(fc.nat(9), { maxLength: 40 });

suite("splices between two lists", () => {
  test("make the one of the other", () => {
    fc.assert(
      fc.property(lists, lists, (before, after) => {
        const made: number[] = [];
        let kept = 0;
        for (const { from, removed, to, added } of splicesBetween(before, after)) {
          made.push(...before.slice(kept, from), ...after.slice(to, to + added));
          kept = from + removed;
        }
        assert.deepEqual([...made, ...before.slice(kept)], after);
      }),
      { numRuns: fuzzRuns(2000) },
    );
  });

  test("hold no more than what went and what came, wherever that is", () => {
    const before = Array.from({ length: 2000 }, (_, index) => index);
    const after = before.toSpliced(1500, 1).toSpliced(700, 2, -1).toSpliced(0, 0, -2, -3);
    assert.deepEqual(splicesBetween(before, after), [
      { from: 0, removed: 0, to: 0, added: 2 },
      { from: 700, removed: 2, to: 702, added: 1 },
      { from: 1500, removed: 1, to: 1501, added: 0 },
    ]);
    assert.deepEqual(splicesBetween(after, after), []);
  });
});

test("lists are mapped by place as without a past, what stays is not mapped again, and the same list is the same object", () => {
  fc.assert(
    fc.property(fc.array(lists, { maxLength: 6 }), (all) => {
      const map = mapByPlace((item: number) => [item]);
      for (const list of all) {
        const mapped = map(list);
        assert.deepEqual(
          mapped,
          list.map((item) => [item]),
        );
        assert.equal(map([...list]), mapped);
      }
    }),
    { numRuns: fuzzRuns(500) },
  );
  let calls = 0;
  const map = mapByPlace(() => calls++);
  const long = Array.from({ length: 2000 }, (_, index) => index);
  map(long);
  map(long.toSpliced(1500, 1).toSpliced(3, 0, -1));
  assert.equal(calls, 2001);
});
