import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fc, fuzzRuns } from "../test/peers/properties.ts";
import { changesBetween, splicesBetween } from "./splices.ts";

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
    assert.deepEqual(changesBetween(before, after), { gone: [700, 701, 1500], come: [-2, -3, -1] });
  });
});
