import { joinText, mapSize, writeMap } from "./header-map-codec.ts";

/** One header line. Strings are Latin-1: a character is a byte. */
export type HeaderLine = readonly [name: string, value: string];

const colon = 0x3a;

/**
 * Headers of which Envoy keeps one line: what is added comes behind a comma. What it joins in requests only, or in
 * responses only, is joined in both.
 */
const joined: ReadonlySet<string> = new Set(
  `:authority :method :path :scheme :status accept accept-encoding access-control-allow-credentials
  access-control-allow-headers access-control-allow-methods access-control-allow-origin
  access-control-allow-private-network access-control-expose-headers access-control-max-age
  access-control-request-headers access-control-request-method age authorization cache-control connection
  content-encoding content-type date etag expect expires grpc-accept-encoding grpc-message grpc-status
  grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-modified location
  origin pragma proxy-connection proxy-status referer server te transfer-encoding upgrade user-agent vary via
  x-client-trace-id x-envoy-attempt-count x-envoy-decorator-operation x-envoy-degraded
  x-envoy-downstream-service-cluster x-envoy-downstream-service-node x-envoy-expected-rq-timeout-ms
  x-envoy-external-address x-envoy-force-trace x-envoy-hedge-on-per-try-timeout x-envoy-immediate-health-check-fail
  x-envoy-internal x-envoy-ip-tags x-envoy-max-retries x-envoy-original-host x-envoy-original-path
  x-envoy-original-url x-envoy-ratelimited x-envoy-retriable-header-names x-envoy-retriable-status-codes
  x-envoy-retry-grpc-on x-envoy-retry-on x-envoy-upstream-alt-stat-name x-envoy-upstream-canary
  x-envoy-upstream-healthchecked-cluster x-envoy-upstream-rq-per-try-timeout-ms
  x-envoy-upstream-rq-timeout-alt-response x-envoy-upstream-rq-timeout-ms x-envoy-upstream-service-time
  x-envoy-upstream-stream-duration-ms x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port
  x-forwarded-proto x-request-id`.split(/\s+/),
);

/** As Envoy: nothing is no item of a list. */
function appended(before: string, value: string): string {
  if (value === "") return before;
  return before === "" ? value : `${before},${value}`;
}

/** A message's lines as Envoy keeps them: where a name that has one line comes again, its value is put behind the first. */
export function joinRepeated(lines: HeaderLine[]): HeaderLine[] {
  // Names of one length are few: most messages are seen to repeat none without comparing any.
  let lengths = 0;
  for (let i = 0; i < lines.length; i++) {
    const name = lines[i]![0];
    const bit = 1 << name.length;
    if ((lengths & bit) !== 0 && indexOfName(lines, name) < i) return joinFrom(lines, i);
    lengths |= bit;
  }
  return lines;
}

function joinFrom(lines: readonly HeaderLine[], from: number): HeaderLine[] {
  const kept = lines.slice(0, from);
  for (const line of lines.slice(from)) {
    const [name, value] = line;
    const at = joined.has(name) ? indexOfName(kept, name) : -1;
    if (at < 0) kept.push(line);
    else kept[at] = [name, appended(kept[at]![1], value)];
  }
  return kept;
}

function indexOfName(lines: readonly HeaderLine[], name: string): number {
  for (let i = 0; i < lines.length; i++) if (lines[i]![0] === name) return i;
  return -1;
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
    return indexOfName(this.list, name);
  }
}
