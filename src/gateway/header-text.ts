import type { HeaderLine } from "../proxy-wasm/header-map.ts";

/** What of a message is wrong, where that makes a difference. */
export type FaultKind = "characters" | "count" | "length" | "other";

/** What the peer sent is no HTTP. */
export class ProtocolError extends Error {
  readonly kind: FaultKind;

  constructor(message: string, kind: FaultKind = "other") {
    super(message);
    this.kind = kind;
  }
}

/** For each byte whether it may be in a name (1) and in a value (2). */
const classes = new Uint8Array(256);
for (let code = 0x20; code < 0x100; code++) if (code !== 0x7f) classes[code] = 2;
classes[0x09] = 2;
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  classes[char.charCodeAt(0)] = 3;
const cr = 0x0d;
const lf = 0x0a;
const colon = 0x3a;

/** Names as they are written, lower-case. Bounded: peers write what they want. */
const known = new Map<string, string>();
const maxKnown = 2000;
const maxKnownLength = 64;

/** A header's name in lower case. */
function lowerCaseName(name: string): string {
  const lower = known.get(name);
  if (lower !== undefined) return lower;
  const made = name.toLowerCase();
  if (known.size >= maxKnown || name.length > maxKnownLength) return made;
  // A piece of a head would hold all of it; and V8 compares keys of objects by reference.
  const kept = keyOf(made);
  known.set(keyOf(name), kept);
  return kept;
}

function keyOf(text: string): string {
  return Object.keys({ [text]: 0 })[0]!;
}

/** Where CR LF CR LF begins; -1 if it is not there. */
export function indexOfHeadEnd(bytes: Buffer, from: number): number {
  return bytes.indexOf("\r\n\r\n", from, "latin1");
}

/** A content-length; undefined if it is none, or beyond what a number can say. */
export function parseLength(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/**
 * Reads the header lines of a head, from an index on, without the empty line at its end. Folded lines, lone CR and LF, and
 * names that are none are errors.
 */
export function readHeaderLines(head: string, from: number, into: HeaderLine[], maxHeaders: number): void {
  const { length } = head;
  for (let at = from; at < length; ) {
    let end = at;
    while (end < length && classes[head.charCodeAt(end)] === 3) end++;
    if (end === at || head.charCodeAt(end) !== colon) throw new ProtocolError("a header line has no name");
    const name = lowerCaseName(head.slice(at, end));
    let start = end + 1;
    while (start < length && isBlank(head.charCodeAt(start))) start++;
    end = start;
    while (end < length && classes[head.charCodeAt(end)]! >= 2) end++;
    if (end < length && (head.charCodeAt(end) !== cr || head.charCodeAt(end + 1) !== lf))
      throw new ProtocolError("a header's value has control characters", "characters");
    at = end + 2;
    while (end > start && isBlank(head.charCodeAt(end - 1))) end--;
    if (into.length > maxHeaders) throw new ProtocolError("there are too many headers", "count");
    into.push([name, head.slice(start, end)]);
  }
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
