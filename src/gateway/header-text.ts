import type { HeaderLine } from "../proxy-wasm/header-map.ts";

/** What the peer sent is no HTTP. */
export class ProtocolError extends Error {}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** All that a value may not hold. */
const forbidden = /[^\P{Cc}\t\x80-\x9f]/u;
/** Names as they are written, lower-case. Bounded: peers write what they want. */
const known = new Map<string, string>();
const maxKnown = 2000;
const maxKnownLength = 64;

/** A header's name in lower case; undefined if it is no name. */
export function lowerCaseName(name: string): string | undefined {
  const lower = known.get(name);
  if (lower !== undefined) return lower;
  if (!token.test(name)) return undefined;
  const made = name.toLowerCase();
  if (known.size < maxKnown && name.length <= maxKnownLength) known.set(name, made);
  return made;
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
export function readHeaderLines(
  head: string,
  from: number,
  into: HeaderLine[],
  maxHeaders: number,
  nameOf: (name: string) => string | undefined = lowerCaseName,
): void {
  const { length } = head;
  for (let at = from; at < length; ) {
    const found = head.indexOf("\r\n", at);
    const end = found < 0 ? length : found;
    const colon = head.indexOf(":", at);
    const name = colon > at && colon < end ? nameOf(head.slice(at, colon)) : undefined;
    if (name === undefined) throw new ProtocolError("a header line has no name");
    const value = trimmed(head, colon + 1, end);
    if (forbidden.test(value)) throw new ProtocolError("a header's value has control characters");
    if (into.length > maxHeaders) throw new ProtocolError("there are too many headers");
    into.push([name, value]);
    at = end + 2;
  }
}

function trimmed(text: string, from: number, to: number): string {
  let [start, end] = [from, to];
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
