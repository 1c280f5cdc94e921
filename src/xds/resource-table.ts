import type { SnapshotResource } from "./snapshot.ts";

/**
 * Resources by name, in their order. Tables of the same names share one index, so that one that differs in a single
 * resource costs a list of references, and no map of all of them.
 */
export class ResourceTable implements ReadonlyMap<string, SnapshotResource> {
  readonly list: readonly SnapshotResource[];
  readonly #places: ReadonlyMap<string, number>;

  /** Of resources with the same name the last one counts. `like` is a table that may have the same names. */
  constructor(resources: readonly SnapshotResource[], like?: ResourceTable) {
    if (like && sameNames(resources, like.list)) {
      this.list = resources;
      this.#places = like.#places;
      return;
    }
    const byName = new Map<string, SnapshotResource>();
    for (const resource of resources) byName.set(resource.name, resource);
    this.list = byName.size === resources.length ? resources : [...byName.values()];
    this.#places = new Map(this.list.map(({ name }, place) => [name, place]));
  }

  /** Whether the two are known to have the same names, in the same order. */
  sharesNames(other: ResourceTable): boolean {
    return other.#places === this.#places;
  }

  get size(): number {
    return this.list.length;
  }

  get(name: string): SnapshotResource | undefined {
    const place = this.#places.get(name);
    return place === undefined ? undefined : this.list[place];
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  keys() {
    return this.#places.keys();
  }

  values() {
    return this.list.values();
  }

  entries() {
    return this.list.map((resource): [string, SnapshotResource] => [resource.name, resource]).values();
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  forEach(
    call: (resource: SnapshotResource, name: string, table: ReadonlyMap<string, SnapshotResource>) => void,
  ): void {
    for (const resource of this.list) call(resource, resource.name, this);
  }
}

function sameNames(a: readonly SnapshotResource[], b: readonly SnapshotResource[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index] || one.name === b[index]!.name);
}
