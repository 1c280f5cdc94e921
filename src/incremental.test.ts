import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { differenceOf, keepItems, mapIncrementally } from "./incremental.ts";

interface Item {
  readonly name: string;
}

const pool: readonly Item[] = Array.from({ length: 8 }, (_, index) => ({ name: `i${index}` }));
/** Lists of different items, in any order. */
const lists = fc.array(fc.uniqueArray(fc.constantFrom(...pool)), { maxLength: 12 });

suite("mapIncrementally", () => {
  test("gives what mapping each gives, and maps only what the last list had not", () => {
    fc.assert(
      fc.property(lists, (sequence) => {
        let mapped: Item[] = [];
        const map = mapIncrementally((item: Item) => {
          mapped.push(item);
          return { of: item };
        });
        let last: readonly Item[] = [];
        let lastResults = map(last);
        for (const items of sequence) {
          mapped = [];
          const results = map(items);
          assert.deepEqual(
            results.map(({ of }) => of),
            items,
          );
          const fresh = items.filter((item) => !last.includes(item));
          assert.deepEqual(mapped, fresh);
          for (const [index, item] of items.entries())
            if (last.includes(item)) assert.equal(results[index], lastResults[last.indexOf(item)]);
          last = items;
          lastResults = results;
        }
      }),
    );
  });

  test("the same list, or another of the same items, has the same result itself", () => {
    const map = mapIncrementally((item: Item) => ({ of: item }));
    const results = map(pool);
    assert.equal(map(pool), results);
    assert.equal(map([...pool]), results);
  });
});

test("two lists differ between what is the same at the front and at the end", () => {
  const [a, b, c, d] = pool;
  assert.equal(differenceOf([a, b], [a, b]), undefined);
  assert.deepEqual(differenceOf([a, b, c], [a, d, c]), { start: 1, tail: 1 });
  assert.deepEqual(differenceOf([a, b], [a, b, c]), { start: 2, tail: 0 });
  assert.deepEqual(differenceOf([a, a], [a]), { start: 1, tail: 0 });
  assert.deepEqual(differenceOf([], [a]), { start: 0, tail: 0 });
});

test("a list of the same items is the last list", () => {
  const keep = keepItems<Item>();
  const list = keep([...pool]);
  assert.equal(keep([...pool]), list);
  assert.notEqual(keep(pool.slice(1)), list);
});
