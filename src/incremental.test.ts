import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../test/peers/properties.ts";
import {
  buildIncrementally,
  flatMapIncrementally,
  keepItems,
  mapIncrementally,
  sortIncrementally,
} from "./incremental.ts";

interface Item {
  readonly rank: number;
}

const items: readonly Item[] = Array.from({ length: 60 }, (_, rank) => ({ rank }));
/** Lists one after the other: of any items in any order, each of them once. */
const lists = fc.array(fc.shuffledSubarray([...items]), { minLength: 1, maxLength: 8 });
/** Lists of which each is the last one with a few items changed. */
const edits = fc
  .tuple(fc.shuffledSubarray([...items]), fc.array(fc.array(fc.nat(59), { maxLength: 3 }), { maxLength: 12 }))
  .map(([first, steps]) => {
    const all = [first];
    for (const step of steps) all.push(step.reduce(edited, all.at(-1)!));
    return all;
  });

/** Takes an item out, or puts it in the place of another. */
function edited(list: readonly Item[], rank: number): Item[] {
  const item = items[rank]!;
  if (list.includes(item)) return list.filter((each) => each !== item);
  return list.length === 0 ? [item] : list.with(rank % list.length, item);
}

const byRank = (a: Item, b: Item) => a.rank - b.rank;

test("lists are sorted as without a past, and the same list is the same object", () => {
  fc.assert(
    fc.property(fc.oneof(lists, edits), (all) => {
      const sort = sortIncrementally(byRank);
      let last: readonly Item[] | undefined;
      for (const list of all) {
        const sorted = sort(list);
        assert.deepEqual(sorted, list.toSorted(byRank));
        if (last && sorted.length === last.length && sorted.every((item, index) => item === last![index]))
          assert.equal(sorted, last);
        last = sorted;
      }
    }),
    { numRuns: fuzzRuns(500) },
  );
});

test("of a long list that changed in one place few items are compared", () => {
  let compared = 0;
  const sort = sortIncrementally((a: Item, b: Item) => {
    compared++;
    return byRank(a, b);
  });
  const long = Array.from({ length: 2000 }, (_, rank) => ({ rank: rank * 2 }));
  sort(long);
  compared = 0;
  const added = { rank: 777 };
  assert.equal(sort(long.with(1999, added)).indexOf(added), 389);
  assert.ok(compared <= 12, `${compared} comparisons`);
});

test("lists are mapped as without a past, and what stays is not mapped again", () => {
  fc.assert(
    fc.property(fc.oneof(lists, edits), (all) => {
      let last: readonly Item[] = [];
      let calls: Item[] = [];
      const map = mapIncrementally((item: Item) => {
        calls.push(item);
        return `${item.rank}`;
      });
      for (const list of all) {
        calls = [];
        assert.deepEqual(
          map(list),
          list.map(({ rank }) => `${rank}`),
        );
        assert.ok(calls.every((item) => !last.includes(item)));
        last = list;
      }
    }),
    { numRuns: fuzzRuns(500) },
  );
});

test("what is in a list more than once is mapped as without a past, and the same list is the same object", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(9), { maxLength: 40 }), { maxLength: 6 }), (all) => {
      const map = mapIncrementally((item: number) => [item]);
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
});

test("of a long list that changed in several places what came is mapped", () => {
  const mapped: number[] = [];
  const map = mapIncrementally((item: number) => mapped.push(item));
  const long = Array.from({ length: 2000 }, (_, index) => index);
  map(long);
  mapped.length = 0;
  map(long.toSpliced(1500, 1).toSpliced(3, 1, -1).toSpliced(700, 0, 1500, -2));
  assert.deepEqual(mapped, [-1, -2]);
});

test("what items make is put together as without a past, and is the same list while they make the same", () => {
  // Of one in three nothing is made, of the others one or two things that are the same for several.
  const words = ["a", "b"];
  const wordsOf = ({ rank }: Item) => words.slice(0, rank % 3);
  fc.assert(
    fc.property(fc.oneof(lists, edits), (all) => {
      const map = flatMapIncrementally(wordsOf);
      for (const list of all) assert.deepEqual(map(list), list.flatMap(wordsOf));
    }),
    { numRuns: fuzzRuns(500) },
  );
  const map = flatMapIncrementally(wordsOf);
  const before = map([items[1]!, items[3]!]);
  assert.equal(map([items[1]!, items[6]!]), before);
});

test("only keys with other parts are built again, from what they were", () => {
  const calls: string[] = [];
  const build = buildIncrementally((key: string, parts: readonly number[], before: string | undefined) => {
    calls.push(`${key} ${parts} ${before}`);
    return `${key}${parts}`;
  });
  assert.deepEqual(
    build([
      ["a", [1]],
      ["b", [2]],
    ]),
    ["a1", "b2"],
  );
  assert.deepEqual(
    build([
      ["b", [2]],
      ["a", [3]],
    ]),
    ["b2", "a3"],
  );
  assert.deepEqual(build([["b", [2]]]), ["b2"]);
  assert.deepEqual(build([["a", [3]]]), ["a3"]);
  assert.deepEqual(calls, ["a 1 undefined", "b 2 undefined", "a 3 a1", "a 3 undefined"]);
});

test("a list of the same items is the last list", () => {
  const keep = keepItems<Item>();
  const list = keep([...items]);
  assert.equal(keep([...items]), list);
  assert.notEqual(keep(items.slice(1)), list);
});
