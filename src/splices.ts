/** At one place of a list: how many items of it went, and how many of another list came. */
export interface Splice {
  /** Where, in the list before. */
  readonly from: number;
  readonly removed: number;
  /** Where, in the list after. */
  readonly to: number;
  readonly added: number;
}

/**
 * What makes one list of another. Thousands of items of which a few are others, wherever these are, cost a comparison
 * each.
 */
export function splicesBetween(before: readonly unknown[], after: readonly unknown[]): Splice[] {
  const splices: Splice[] = [];
  let [from, to] = [0, 0];
  for (;;) {
    while (from < before.length && to < after.length && before[from] === after[to]) {
      from++;
      to++;
    }
    if (from === before.length && to === after.length) return splices;
    const splice = nextSplice(before, after, from, to);
    splices.push(splice);
    from += splice.removed;
    to += splice.added;
  }
}

/** So many items are looked ahead. */
const maxDistance = 8;

/** To where both lists go on alike; to that with which both end where they do not soon. */
function nextSplice(before: readonly unknown[], after: readonly unknown[], from: number, to: number): Splice {
  const [left, right] = [before.length - from, after.length - to];
  for (let distance = 1; distance <= maxDistance; distance++)
    for (let removed = Math.max(0, distance - right); removed <= Math.min(distance, left); removed++) {
      const added = distance - removed;
      const isAtEnd = removed === left || added === right;
      if (isAtEnd ? removed === left && added === right : before[from + removed] === after[to + added])
        return { from, removed, to, added };
    }
  let end = 0;
  while (end < Math.min(left, right) && before.at(-1 - end) === after.at(-1 - end)) end++;
  return { from, removed: left - end, to, added: right - end };
}

/** What went of a list, and what came, for another to be there; an item that changed its place is among both. */
export function changesBetween<T>(
  before: readonly T[],
  after: readonly T[],
): { readonly gone: readonly T[]; readonly come: readonly T[] } {
  const splices = splicesBetween(before, after);
  return {
    gone: splices.flatMap(({ from, removed }) => before.slice(from, from + removed)),
    come: splices.flatMap(({ to, added }) => after.slice(to, to + added)),
  };
}
