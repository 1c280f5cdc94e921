import { Header } from "./headers";
import { decodeText, encodeText } from "./text";

// Wire form of a header map: count, then both sizes of each pair, then the names and values, each ended by a NUL.

/** Serialises header lines as the hostcalls take them. */
export function encodePairs(headers: Header[]): ArrayBuffer {
  const count = headers.length;
  const head = 4 + 8 * count;
  let room = head;
  for (let i = 0; i < count; i++) room += 3 * (headers[i].name.length + headers[i].value.length) + 2;
  const bytes = new ArrayBuffer(room);
  const start = changetype<usize>(bytes);
  store<u32>(start, count);
  let at = start + head;
  for (let i = 0; i < count; i++) {
    const sizes = start + 4 + 8 * i;
    at = storeText(headers[i].name, at, sizes);
    at = storeText(headers[i].value, at, sizes + 4);
  }
  return bytes.slice(0, (at - start) as i32);
}

function storeText(text: string, at: usize, sizeAt: usize): usize {
  const size = encodeText(text, at);
  store<u32>(sizeAt, size as u32);
  store<u8>(at + size, 0);
  return at + size + 1;
}

/** Header lines of a serialised map. A map that is cut short ends with its last whole line. */
export function decodePairs(bytes: ArrayBuffer): Header[] {
  const headers: Header[] = [];
  const pairs = readPairs(bytes);
  while (pairs.next()) headers.push(new Header(pairs.name(), pairs.value()));
  return headers;
}

/** Values of the lines of a serialised map that have this name, which is given as UTF-8. */
export function decodeValues(bytes: ArrayBuffer, name: usize, nameSize: usize): string[] {
  const values: string[] = [];
  const pairs = readPairs(bytes);
  while (pairs.next()) {
    if (pairs.isNamed(name, nameSize)) values.push(pairs.value());
  }
  return values;
}

/** Goes through the lines of a serialised map. */
export class PairReader {
  nameAt: usize = 0;
  nameSize: usize = 0;
  valueAt: usize = 0;
  valueSize: usize = 0;
  /** How many lines are left, as far as the map says it. */
  private left: usize = 0;
  private sizesAt: usize = 0;
  private at: usize = 0;
  private end: usize = 0;

  /** Begins with the first line. */
  begin(start: usize, size: usize): void {
    this.left = size < 4 ? 0 : load<u32>(start);
    this.sizesAt = start + 4;
    // The count may be anything: beyond the end there is no line.
    this.at = this.left > size >> 3 ? start + size : start + 4 + 8 * this.left;
    this.end = start + size;
  }

  /** No more lines than these are left. */
  get count(): i32 {
    return min(this.left, (this.end - this.sizesAt) >> 3) as i32;
  }

  /** Whether there is another whole line: it is the current one then. */
  next(): bool {
    if (this.left == 0 || this.at >= this.end) return false;
    this.left--;
    this.nameAt = this.at;
    this.nameSize = load<u32>(this.sizesAt);
    this.valueSize = load<u32>(this.sizesAt, 4);
    this.sizesAt += 8;
    this.valueAt = this.at + this.nameSize + 1;
    this.at = this.valueAt + this.valueSize + 1;
    return this.at <= this.end;
  }

  /** Whether the current line has this name, which is given as UTF-8. */
  isNamed(name: usize, size: usize): bool {
    return this.nameSize == size && memory.compare(this.nameAt, name, size) == 0;
  }

  name(): string {
    return decodeText(this.nameAt, this.nameSize);
  }

  value(): string {
    return decodeText(this.valueAt, this.valueSize);
  }
}

const reader = new PairReader();

/** The lines of a serialised map, one after the other. There is one reader: who goes through a map ends before the next begins. */
export function readPairs(bytes: ArrayBuffer): PairReader {
  reader.begin(changetype<usize>(bytes), bytes.byteLength);
  return reader;
}
