import { joinText, mapSize, writeMap } from "./header-map-codec.ts";

/** One header line. Strings are Latin-1: a character is a byte. */
export type HeaderLine = readonly [name: string, value: string];

const colon = 0x3a;

/**
 * Headers of which Envoy keeps one line: what is added comes behind a comma. Not all that Envoy has, and none that
 * means something else in requests than in responses.
 */
const joined: ReadonlySet<string> = new Set(
  `:authority :method :path :scheme :status accept accept-encoding authorization cache-control connection content-length
  content-type date etag grpc-message grpc-status grpc-timeout keep-alive location origin proxy-connection referer server te
  transfer-encoding upgrade user-agent vary via x-forwarded-for x-forwarded-host x-forwarded-proto x-request-id`.split(
    /\s+/,
  ),
);

/** As Envoy: nothing is no item of a list. */
function appended(before: string, value: string): string {
  if (value === "") return before;
  return before === "" ? value : `${before},${value}`;
}

/** Header or trailer lines in their order. Names are lower-case. `host` is `:authority`, where there is one. */
export class HeaderMap {
  /** A guest has written something that may be no header: whoever sends the map on looks at it. */
  isSuspect = false;
  /** What guests have written into it so far, in bytes. */
  writtenBytes = 0;
  private list: HeaderLine[];
  /** All names and values, for guests that read the map; kept until it changes. */
  private text: string | undefined;

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
    const at = this.find(this.nameOf(name));
    return at < 0 ? undefined : this.list[at]![1];
  }

  /** Adds a line at the end, or to the one line that there may be; a pseudo-header, behind the others of its kind. */
  add(name: string, value: string): void {
    this.text = undefined;
    const { list } = this;
    const real = this.nameOf(name);
    const at = joined.has(real) ? this.find(real) : -1;
    if (at >= 0) list[at] = [real, appended(list[at]![1], value)];
    else if (real.charCodeAt(0) !== colon) list.push([real, value]);
    else list.splice(this.pseudoEnd(), 0, [real, value]);
  }

  /** The place behind the last pseudo-header. */
  private pseudoEnd(): number {
    return this.list.findLastIndex((line) => line[0].charCodeAt(0) === colon) + 1;
  }

  /** One value, where the first one stands; at the end if there is none. What a proxy sets of its own stays in its place. */
  set(name: string, value: string): void {
    const { list } = this;
    const at = this.find(this.nameOf(name));
    if (at < 0) {
      this.add(name, value);
      return;
    }
    this.text = undefined;
    list[at] = [list[at]![0], value];
  }

  /** One value in place of all that the name has. As in Envoy it comes to the end. */
  replace(name: string, value: string): void {
    const real = this.nameOf(name);
    this.remove(real);
    this.add(real, value);
  }

  remove(name: string): void {
    this.text = undefined;
    const { list } = this;
    const real = this.nameOf(name);
    let kept = 0;
    for (let i = 0; i < list.length; i++) if (list[i]![0] !== real) list[kept++] = list[i]!;
    list.length = kept;
  }

  /** Puts lines in the place of all that are there; their names must be lower-case. */
  setLines(lines: Iterable<HeaderLine>): void {
    this.text = undefined;
    this.list = [];
    for (const line of lines) this.add(line[0], line[1]);
  }

  /** How many bytes the map is for a guest that reads it. */
  get encodedSize(): number {
    this.text ??= joinText(this.list);
    return mapSize(this.list.length, this.text);
  }

  /** Writes a map that is not empty to where there is room for it. */
  encodeTo(bytes: Uint8Array, at: number): void {
    this.text ??= joinText(this.list);
    writeMap(bytes, at, this.list, this.text);
  }

  private nameOf(name: string): string {
    return name === "host" && this.find(":authority") >= 0 ? ":authority" : name;
  }

  private find(name: string): number {
    const { list } = this;
    for (let i = 0; i < list.length; i++) if (list[i]![0] === name) return i;
    return -1;
  }
}
