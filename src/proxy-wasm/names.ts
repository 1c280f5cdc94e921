// Guests ask for the same few names again and again. One that was seen before costs no new string, and V8 knows its hash.

const slots = 2048;
const longest = 64;
const raw: (string | undefined)[] = new Array(slots).fill(undefined);
const lower: string[] = new Array(slots).fill("");

// Behind `toString("latin1")`: it works on any Uint8Array.
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** The lower-case name that stands in these bytes; the bytes must be there. */
export function findName(bytes: Uint8Array, at: number, size: number): string {
  return size > longest ? slice(bytes, at, size).toLowerCase() : lower[slotOf(bytes, at, size)]!;
}

/** The text that stands in these bytes; the bytes must be there. */
export function findText(bytes: Uint8Array, at: number, size: number): string {
  return size > longest ? slice(bytes, at, size) : raw[slotOf(bytes, at, size)]!;
}

/** Where a text is, which may take another's place. */
function slotOf(bytes: Uint8Array, at: number, size: number): number {
  let hash = size;
  for (let i = 0; i < size; i++) hash = (Math.imul(hash, 31) + bytes[at + i]!) | 0;
  const slot = (hash ^ (hash >>> 15)) & (slots - 1);
  const known = raw[slot];
  if (known !== undefined && isSame(known, bytes, at, size)) return slot;
  const name = slice(bytes, at, size);
  raw[slot] = name;
  lower[slot] = name.toLowerCase();
  return slot;
}

function isSame(text: string, bytes: Uint8Array, at: number, size: number): boolean {
  if (text.length !== size) return false;
  for (let i = 0; i < size; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

function slice(bytes: Uint8Array, at: number, size: number): string {
  return latin1Slice.call(bytes, at, at + size);
}
