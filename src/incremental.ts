import { changesBetween, splicesBetween } from "./splices.ts";

/** Whether two lists hold the same items in the same order. */
export function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** A function that remembers its last result while its arguments (the first `compared` of them) are the same. */
export function whenChanged<A extends readonly unknown[], R>(
  compute: (...args: A) => R,
  compared = Number.POSITIVE_INFINITY,
): (...args: A) => R {
  let last: { args: A; result: R } | undefined;
  return (...args) => {
    if (last && args.every((arg, index) => index >= compared || arg === last!.args[index]))
      return last.result;
    last = { args, result: compute(...args) };
    return last.result;
  };
}

/**
 * A function over lists that maps again only the items that were not in the last list. Gives back the last result itself
 * where it is the same. With a thousand items of which one is new it looks at none of the others.
 */
export function mapIncrementally<T, R>(map: (item: T) => R): (items: readonly T[]) => readonly R[] {
  let lastItems: readonly T[] = [];
  let lastResults: readonly R[] = [];
  return (items) => {
    const splices = splicesBetween(lastItems, items);
    if (splices.length === 0) return lastResults;
    const moved = new Map<T, R>();
    for (const { from, removed } of splices)
      for (let place = from; place < from + removed; place++)
        moved.set(lastItems[place]!, lastResults[place]!);
    const results: R[] = [];
    let kept = 0;
    for (const { from, removed, to, added } of splices) {
      while (kept < from) results.push(lastResults[kept++]!);
      kept += removed;
      for (const item of items.slice(to, to + added))
        results.push(moved.has(item) ? moved.get(item)! : map(item));
    }
    while (kept < lastResults.length) results.push(lastResults[kept++]!);
    lastItems = items;
    if (!sameItems(results, lastResults)) lastResults = results;
    return lastResults;
  };
}

/** A list of a moment, or the last list itself where it holds the same items. */
export function keepItems<T>(): (items: readonly T[]) => readonly T[] {
  let last: readonly T[] = [];
  return (items) => {
    if (!sameItems(items, last)) last = items;
    return last;
  };
}

/** The same of a function that makes any number of things of an item: what all of them make, in order. */
export function flatMapIncrementally<T, R>(
  map: (item: T) => readonly R[],
): (items: readonly T[]) => readonly R[] {
  const empty: readonly R[] = [];
  const mapEach = mapIncrementally((item: T) => {
    const made = map(item);
    // One for all, so that a new item of which nothing is made changes nothing.
    return made.length === 0 ? empty : made;
  });
  const join = whenChanged((lists: readonly (readonly R[])[]) => lists.flat() as R[]);
  return (items) => join(mapEach(items));
}

/**
 * A function over keyed parts that builds a key's value again only when its parts are others than in the last call.
 * `build` is given the value before, to return it where nothing came of that. What the last call did not have is
 * forgotten.
 */
export function buildIncrementally<K, P extends readonly unknown[], V>(
  build: (key: K, parts: P, before: V | undefined) => V,
): (entries: Iterable<readonly [K, P]>) => V[] {
  let last = new Map<K, { readonly parts: P; readonly value: V }>();
  return (entries) => {
    const next: typeof last = new Map();
    for (const [key, parts] of entries) {
      const known = last.get(key);
      next.set(
        key,
        known && sameItems(known.parts, parts) ? known : { parts, value: build(key, parts, known?.value) },
      );
    }
    last = next;
    return [...next.values()].map(({ value }) => value);
  };
}

/**
 * A function that sorts lists of which each is nearly the last one: of a few that are new the places are searched, and
 * nothing else is compared. Gives back the last list itself where it is the same. `compare` must tell any two items apart,
 * or the past would show.
 */
export function sortIncrementally<T>(compare: (a: T, b: T) => number): (items: readonly T[]) => readonly T[] {
  let lastItems: readonly T[] = [];
  let last: readonly T[] = [];
  return (items) => {
    const { gone, come } = changesBetween(lastItems, items);
    const changes = gone.length + come.length;
    if (changes === 0) return last;
    lastItems = items;
    const next = changes <= fewItems ? exchange(last, gone, come, compare) : sortKept(last, items, compare);
    if (!sameItems(next, last)) last = next;
    return last;
  };
}

/** So many changes are looked up one by one. */
const fewItems = 16;

function exchange<T>(
  sorted: readonly T[],
  gone: readonly T[],
  come: readonly T[],
  compare: (a: T, b: T) => number,
): T[] {
  const next = [...sorted];
  for (const item of gone) next.splice(next.indexOf(item), 1);
  for (const item of come)
    next.splice(
      placeAmong(next, (other) => compare(other, item) < 0),
      0,
      item,
    );
  return next;
}

/** How many of a sorted list's items come before what is looked for. */
export function placeAmong<T>(sorted: readonly T[], isBefore: (item: T) => boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(sorted[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What stays is in order already, so that a sort that finds ordered runs has little to compare. */
function sortKept<T>(last: readonly T[], items: readonly T[], compare: (a: T, b: T) => number): T[] {
  const others = new Set(items);
  const staying = last.filter((item) => others.delete(item));
  return [...staying, ...others].sort(compare);
}
