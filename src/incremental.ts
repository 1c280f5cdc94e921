/** Whether two lists hold the same items in the same order. */
export function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
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
    const moved = items.length !== lastItems.length || countNew(items, lastItems) > 1;
    const known = moved
      ? new Map(lastItems.map((item, index) => [item, lastResults[index] as R]))
      : undefined;
    const results = items.map((item, index) => {
      if (item === lastItems[index] && index < lastItems.length) return lastResults[index] as R;
      return known?.has(item) ? (known.get(item) as R) : map(item);
    });
    lastItems = items;
    if (!sameItems(results, lastResults)) lastResults = results;
    return lastResults;
  };
}

function countNew(items: readonly unknown[], before: readonly unknown[]): number {
  let count = 0;
  for (const [index, item] of items.entries()) if (item !== before[index]) count++;
  return count;
}
