import { deserializeMap, serializeMap } from "./header-map-codec.ts";

/** One header line. Strings are Latin-1: a character is a byte. */
export type HeaderLine = readonly [name: string, value: string];

const colon = 0x3a;

/** Header or trailer lines in their order. Names are lower-case. */
export class HeaderMap {
  private list: HeaderLine[];
  private serialized: Uint8Array | undefined;

  /** Takes the lines over; their names must be lower-case. */
  constructor(lines: HeaderLine[] = []) {
    this.list = lines;
  }

  /** A map of lines whose names may be written in any case. */
  static from(lines: Iterable<HeaderLine>): HeaderMap {
    return new HeaderMap(Array.from(lines, ([name, value]) => [name.toLowerCase(), value] as const));
  }

  get lines(): readonly HeaderLine[] {
    return this.list;
  }

  get size(): number {
    return this.list.length;
  }

  /** Names and values together, in bytes. */
  get byteSize(): number {
    let total = 0;
    for (const line of this.list) total += line[0].length + line[1].length;
    return total;
  }

  /** The first value of a name. */
  get(name: string): string | undefined {
    const list = this.list;
    for (let i = 0; i < list.length; i++) if (list[i]![0] === name) return list[i]![1];
    return undefined;
  }

  /** Adds a line at the end; a pseudo-header, behind the others of its kind. */
  add(name: string, value: string): void {
    this.serialized = undefined;
    const list = this.list;
    if (name.charCodeAt(0) !== colon) list.push([name, value]);
    else list.splice(list.findLastIndex((line) => line[0].startsWith(":")) + 1, 0, [name, value]);
  }

  /** One value in place of all that the name has. As in Envoy it comes to the end. */
  replace(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    this.serialized = undefined;
    const list = this.list;
    let kept = 0;
    for (let i = 0; i < list.length; i++) if (list[i]![0] !== name) list[kept++] = list[i]!;
    list.length = kept;
  }

  setLines(lines: Iterable<HeaderLine>): void {
    this.serialized = undefined;
    this.list = HeaderMap.from(lines).list;
  }

  /** The map as guests read it; kept until the map changes. */
  serialize(): Uint8Array {
    this.serialized ??= serializeMap(this.list);
    return this.serialized;
  }
}

/** The lines of a map as guests write it; none if it is broken, as proxy-wasm-cpp-host takes it. */
export function readLines(bytes: Uint8Array): HeaderLine[] {
  return deserializeMap(bytes) ?? [];
}
