// Guests ask for the same few header names again and again. A name that was seen before costs no new string.

const slots = 2048;
const longest = 64;
const raw: (string | undefined)[] = new Array(slots).fill(undefined);
const lower: string[] = new Array(slots).fill("");

interface Latin1Slice {
  latin1Slice(start: number, end: number): string;
}

/** The lower-case name that stands in these bytes; the bytes must be there. */
export function findName(bytes: Buffer, at: number, size: number): string {
  if (size > longest) return slice(bytes, at, size).toLowerCase();
  let hash = size;
  for (let i = 0; i < size; i++) hash = (Math.imul(hash, 31) + bytes[at + i]!) | 0;
  const slot = (hash ^ (hash >>> 15)) & (slots - 1);
  const known = raw[slot];
  if (known !== undefined && isSame(known, bytes, at, size)) return lower[slot]!;
  const name = slice(bytes, at, size);
  raw[slot] = name;
  lower[slot] = name.toLowerCase();
  return lower[slot]!;
}

function isSame(text: string, bytes: Uint8Array, at: number, size: number): boolean {
  if (text.length !== size) return false;
  for (let i = 0; i < size; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

function slice(bytes: Buffer, at: number, size: number): string {
  return (bytes as Buffer & Latin1Slice).latin1Slice(at, at + size);
}
