import { parseQuery, QueryParameter } from "@wasmline/plugin-sdk/assembly";
import { Table } from "./table";

/** The values of a query or of a form. Each key stands where it came first. */
export class KeyValues extends Table {
  private lists: Map<string, string[]> = new Map<string, string[]>();

  has(key: string): bool {
    return this.lists.has(key);
  }

  get(key: string): string[] {
    return this.lists.has(key) ? this.lists.get(key) : [];
  }

  set(key: string, values: string[]): void {
    this.lists.set(key, values);
  }

  add(key: string, value: string): void {
    if (this.lists.has(key)) this.lists.get(key).push(value);
    else this.lists.set(key, [value]);
  }

  remove(key: string): void {
    this.lists.delete(key);
  }

  keys(): string[] {
    return this.lists.keys();
  }

  sortedKeys(): string[] {
    return this.keys().sort(compareBytes);
  }
}

/** Parameters of a request path's query. */
export function ofQuery(path: string): KeyValues {
  return ofParameters(parseQuery(path));
}

export function ofParameters(parameters: QueryParameter[]): KeyValues {
  const table = new KeyValues();
  for (let i = 0; i < parameters.length; i++) table.add(parameters[i].name, parameters[i].value);
  return table;
}

/** Order of the texts' UTF-8 bytes. */
function compareBytes(a: string, b: string): i32 {
  const length = min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
    if (difference != 0) return difference;
  }
  return a.length - b.length;
}

/** Surrogates stand for code points beyond all others. */
function rank(unit: i32): i32 {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
