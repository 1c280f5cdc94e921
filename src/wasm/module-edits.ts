/** Bytes in the place of some of a module. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** The bytes with edits, which are in order and apart from each other. */
export function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const { start, end, bytes: replacement } of edits) {
    pieces.push(bytes.subarray(at, start), replacement);
    at = end;
  }
  return Buffer.concat([...pieces, bytes.subarray(at)]);
}

/** Edits within something that has its length before it (a section, a function), with that of its length; none for none. */
export function resized(
  { sizeAt, start, end }: { readonly sizeAt: number; readonly start: number; readonly end: number },
  edits: readonly Edit[],
): readonly Edit[] {
  if (edits.length === 0) return [];
  const growth = edits.reduce((sum, edit) => sum + edit.bytes.length - (edit.end - edit.start), 0);
  return [{ start: sizeAt, end: start, bytes: encodeNumber(end - start + growth) }, ...edits];
}

/** An unsigned LEB128. */
export function encodeNumber(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return Uint8Array.from([...bytes, left]);
    bytes.push((left & 0x7f) | 0x80);
  }
}

/** A signed LEB128. */
export function encodeSigned(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left >>= 7n) {
    const low = Number(left & 0x7fn);
    if (left >= -64n && left < 64n) return Uint8Array.from([...bytes, low]);
    bytes.push(low | 0x80);
  }
}
