import type { Context } from "./context.ts";

const smallest = 64;

/**
 * The contexts of a Vm by their ids, which count up. A context has the place of its id's last bits; an id whose place is
 * taken is passed over. A Map would do the same, but V8's leaves a chain of its outgrown tables behind, each with the
 * contexts of its day, which only a full garbage collection ends.
 */
export class ContextTable {
  private places: (Context | undefined)[] = new Array(smallest).fill(undefined);
  private count = 0;
  private lastId = 0;

  /** Puts a context in and gives the id that it is to have. */
  add(context: Context): number {
    if (2 * this.count >= this.places.length) this.grow();
    do this.lastId = (this.lastId + 1) >>> 0;
    while (this.lastId === 0 || this.places[this.placeOf(this.lastId)] !== undefined);
    this.places[this.placeOf(this.lastId)] = context;
    this.count++;
    return this.lastId;
  }

  find(id: number): Context | undefined {
    const found = this.places[this.placeOf(id)];
    return found?.id === id ? found : undefined;
  }

  delete(context: Context): void {
    if (this.find(context.id) !== context) return;
    this.places[this.placeOf(context.id)] = undefined;
    this.count--;
  }

  /** Takes all out, in the order of their ids. */
  takeAll(): Context[] {
    const all = this.places.filter((context) => context !== undefined).sort((a, b) => a.id - b.id);
    this.places.fill(undefined);
    this.count = 0;
    return all;
  }

  private placeOf(id: number): number {
    return id & (this.places.length - 1);
  }

  private grow(): void {
    const before = this.places;
    this.places = new Array(2 * before.length).fill(undefined);
    for (const context of before) if (context) this.places[this.placeOf(context.id)] = context;
  }
}
