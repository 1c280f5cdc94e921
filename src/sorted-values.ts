import { placeAmong } from "./incremental.ts";

/** Values in the order of their keys. Lists that it has given stay as they are. */
export interface SortedValues<V> {
  /** Stores and removes values. Few of them cost a search each, however many there are. */
  update(changed: ReadonlyMap<string, V>, removed: Iterable<string>): readonly V[];
}

/** As many are put in their places one by one. */
const few = 16;

export function createSortedValues<V>(): SortedValues<V> {
  let keys: string[] = [];
  let values: V[] = [];

  function sortAll(changed: ReadonlyMap<string, V>, removed: readonly string[]): void {
    const all = new Map(keys.map((key, index) => [key, values[index] as V]));
    for (const [key, value] of changed) all.set(key, value);
    for (const key of removed) all.delete(key);
    const sorted = [...all].sort(([a], [b]) => (a < b ? -1 : 1));
    keys = sorted.map(([key]) => key);
    values = sorted.map(([, value]) => value);
  }

  function exchange(key: string, put: readonly V[]): void {
    const place = placeAmong(keys, (other) => other < key);
    const taken = keys[place] === key ? 1 : 0;
    keys.splice(place, taken, ...put.map(() => key));
    values.splice(place, taken, ...put);
  }

  return {
    update(changed, removed) {
      const gone = [...removed];
      if (changed.size + gone.length > few) sortAll(changed, gone);
      else {
        values = [...values];
        for (const [key, value] of changed) exchange(key, [value]);
        for (const key of gone) exchange(key, []);
      }
      return values;
    },
  };
}
