import { HeaderMap } from "@wasmline/plugin-sdk/assembly";
import { readLines } from "@wasmline/plugin-sdk/assembly/header-bytes";
import { decodeValues, readPairs } from "@wasmline/plugin-sdk/assembly/pairs";
import { firstArgument } from "@wasmline/plugin-sdk/assembly/text";
import { writeSorted } from "./sorted-headers";
import { Table } from "./table";

/** What became of one header. */
export class HeaderChange {
  /** The name as UTF-8, while the headers are written. */
  nameAt: usize = 0;
  nameSize: usize = 0;

  constructor(
    readonly name: string,
    /** None when the header is removed. */
    public values: string[],
    readonly next: HeaderChange | null,
  ) {}
}

/** Headers of a message, by names in lower case: the lines as the proxy has handed them over, and what was changed since. */
export class HeaderTable extends Table {
  private lines: ArrayBuffer;
  private changes: HeaderChange | null = null;

  constructor(private headers: HeaderMap) {
    super();
    this.lines = readLines(headers.type);
  }

  has(key: string): bool {
    const change = this.find(key);
    if (change !== null) return change.values.length > 0;
    const name = firstArgument.put(key);
    const pairs = readPairs(this.lines);
    while (pairs.next()) {
      if (pairs.isNamed(name, firstArgument.size)) return true;
    }
    return false;
  }

  get(key: string): string[] {
    const change = this.find(key);
    if (change !== null) return change.values;
    const name = firstArgument.put(key);
    return decodeValues(this.lines, name, firstArgument.size);
  }

  set(key: string, values: string[]): void {
    const change = this.find(key);
    if (change !== null) change.values = values;
    else this.changes = new HeaderChange(key, values, this.changes);
  }

  add(key: string, value: string): void {
    const values = this.get(key);
    values.push(value);
    this.set(key, values);
  }

  remove(key: string): void {
    this.set(key, []);
  }

  /** Puts all headers in the place of those that the proxy has, in the order of their names, as Higress' plugin does. */
  write(): void {
    writeSorted(this.headers.type, this.lines, this.changes);
  }

  private find(key: string): HeaderChange | null {
    let change = this.changes;
    while (change !== null && change.name != key) change = change.next;
    return change;
  }
}
