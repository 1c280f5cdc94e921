import { findName, findText } from "./names.ts";

/** The limits of proxy-wasm-cpp-host for a map that a guest hands over. */
const maxBytes = 1024 * 1024;
const maxPairs = 1024;

// Node's own methods behind `toString("latin1")` and `write(…, "latin1")`: they work on any Uint8Array, without a Buffer around it.
const { latin1Slice, latin1Write } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  latin1Write(this: Uint8Array, text: string, start: number, length: number): number;
};

/**
 * Encodes pairs as the ABI has maps: the count, each pair's two lengths, then names and values, each with a NUL behind it;
 * numbers are 32 bits, little-endian. Strings are Latin-1. No pairs are no bytes.
 */
export function serializeMap(pairs: readonly (readonly [string, string])[]): Uint8Array {
  const text = joinText(pairs);
  const bytes = Buffer.allocUnsafe(mapSize(pairs.length, text));
  if (bytes.length > 0) writeMap(bytes, 0, pairs, text);
  return bytes;
}

/** How many bytes so many pairs with this text have. */
export function mapSize(count: number, text: string): number {
  return count === 0 ? 0 : 4 + 8 * count + text.length;
}

/** Writes pairs, of which there are some, to a place that has room for them; `text` is what `joinText` makes of them. */
export function writeMap(
  bytes: Uint8Array,
  start: number,
  pairs: readonly (readonly [string, string])[],
  text: string,
): void {
  const count = pairs.length;
  writeUint32(bytes, start, count);
  for (let i = 0, at = start + 4; i < count; i++, at += 8) {
    const pair = pairs[i]!;
    writeUint32(bytes, at, pair[0].length);
    writeUint32(bytes, at + 4, pair[1].length);
  }
  latin1Write.call(bytes, text, start + 4 + 8 * count, text.length);
}

/**
 * Decodes what `serializeMap` encodes. Undefined if it is refused, for the reasons that proxy-wasm-cpp-host refuses a map:
 * more than 1 MiB, more than 1024 pairs, a missing NUL, bytes that are missing or left over.
 */
export function deserializeMap(bytes: Uint8Array): [string, string][] | undefined {
  return readPairs(bytes, 0, bytes.length, findText);
}

/** Decodes a map of headers, which stands in these bytes: names are lower-case then. */
export function deserializeHeaders(
  bytes: Uint8Array,
  at: number,
  size: number,
): [string, string][] | undefined {
  return readPairs(bytes, at, size, findName);
}

function readPairs(
  bytes: Uint8Array,
  start: number,
  size: number,
  readName: (bytes: Uint8Array, at: number, size: number) => string,
): [string, string][] | undefined {
  // The specification has one zero byte for an empty map; guests and hosts write none.
  if (size === 0 || (size === 1 && bytes[start] === 0)) return [];
  if (size > maxBytes || size < 4) return undefined;
  const count = readUint32(bytes, start);
  const textSize = size - 4 - 8 * count;
  if (count > maxPairs || textSize < 0) return undefined;
  const textStart = start + size - textSize;
  const text = latin1Slice.call(bytes, textStart, start + size);
  const pairs = new Array<[string, string]>(count);
  let at = 0;
  for (let i = 0, lengths = start + 4; i < count; i++, lengths += 8) {
    const nameSize = readUint32(bytes, lengths);
    const nameEnd = at + nameSize;
    const valueEnd = nameEnd + 1 + readUint32(bytes, lengths + 4);
    if (valueEnd >= textSize) return undefined;
    if (bytes[textStart + nameEnd] !== 0 || bytes[textStart + valueEnd] !== 0) return undefined;
    pairs[i] = [readName(bytes, textStart + at, nameSize), text.substring(nameEnd + 1, valueEnd)];
    at = valueEnd + 1;
  }
  return at === textSize ? pairs : undefined;
}

/** Names and values, each with a NUL behind it. One flat string costs less than a write for each of its parts. */
export function joinText(pairs: readonly (readonly [string, string])[]): string {
  const count = pairs.length;
  const parts = new Array<string>(2 * count + 1);
  for (let i = 0; i < count; i++) {
    const pair = pairs[i]!;
    parts[2 * i] = pair[0];
    parts[2 * i + 1] = pair[1];
  }
  parts[2 * count] = "";
  return parts.join("\0");
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
