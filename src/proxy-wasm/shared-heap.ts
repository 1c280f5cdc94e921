import { place, type SharedMemory } from "./shared-memory.ts";

// Blocks lie one behind the other. Each has two words in front: its size in words with a bit that says whether it is in
// use, and the size of the block before it. Free neighbours are joined at once, so that space of one size is space for
// another. A free block is in the list of its size's power of two; its next two words are the list's links.

const headWords = 2;
/** Sizes are multiples of it: what is allocated is aligned for 64 bits, and a free block has room for its links. */
const unitWords = 4;
const bins = 32;
/** How many blocks of a list are looked at that may be too small. */
const maxLooks = 256;
/** Of shared memory, `slice` copies byte by byte, and `set` by words. */
const maxSlice = 128;

export interface SharedHeap {
  /**
   * A block of that many bytes: the word that it starts at, or 0 if there is no room. Its content may be written without
   * `put`, as nobody relies on it yet; but never into a block that was freed inside of the same `locked`.
   */
  allocate(bytes: number): number;
  free(block: number): void;
  write(block: number, bytes: Uint8Array): void;
  /** A copy. */
  read(block: number, length: number): Uint8Array;
  usedBytes(): number;
}

/** Makes the words from `start` on one free block. */
export function formatHeap({ words }: SharedMemory, start: number): void {
  const first = alignUp(start);
  const size = alignDown(words.length - first - headWords);
  words[first] = size << 1;
  // What lies behind the last block is never joined.
  words[first + size] = 1;
  words[first + size + 1] = size;
  words[place.bins + binOf(size)] = first;
}

export function openSharedHeap(memory: SharedMemory): SharedHeap {
  const { words, bytes } = memory;
  return {
    allocate: (size) => allocate(memory, size),
    free: (block) => free(memory, block - headWords),
    write: (block, content) => bytes.set(content, block * 4),
    read(block, length) {
      const start = block * 4;
      if (length <= maxSlice) return bytes.slice(start, start + length);
      const copy = Buffer.allocUnsafe(length);
      copy.set(bytes.subarray(start, start + length));
      return copy;
    },
    usedBytes: () => words[place.usedWords]! * 4,
  };
}

function allocate(memory: SharedMemory, bytes: number): number {
  const { words, put } = memory;
  const need = alignUp(headWords + Math.ceil(bytes / 4));
  const at = need < words.length ? findFree(words, need) : 0;
  if (at === 0) return 0;
  const size = sizeOf(words, at);
  unlink(memory, at, size);
  // The links of the free block, which the content is going to overwrite.
  put(at + 2, 0);
  put(at + 3, 0);
  const rest = size - need;
  put(at, (need << 1) | 1);
  if (rest > 0) {
    put(at + need + 1, need);
    link(memory, at + need, rest);
  }
  put(place.usedWords, words[place.usedWords]! + need);
  return at + headWords;
}

function free(memory: SharedMemory, at: number): void {
  const { words, put } = memory;
  put(place.usedWords, words[place.usedWords]! - sizeOf(words, at));
  let start = at;
  let size = sizeOf(words, at);
  const after = at + size;
  if (isFree(words, after)) {
    size += sizeOf(words, after);
    unlink(memory, after, sizeOf(words, after));
  }
  const before = at - words[at + 1]!;
  if (before !== at && isFree(words, before)) {
    start = before;
    size += sizeOf(words, before);
    unlink(memory, before, sizeOf(words, before));
  }
  link(memory, start, size);
}

/** A free block of at least that size: of its own list the first that fits, of a larger size any. */
function findFree(words: Int32Array, need: number): number {
  let at = words[place.bins + binOf(need)]!;
  for (let looks = 0; at !== 0 && looks < maxLooks; looks++) {
    if (sizeOf(words, at) >= need) return at;
    at = words[at + 2]!;
  }
  for (let bin = binOf(need) + 1; bin < bins; bin++) {
    const head = words[place.bins + bin]!;
    if (head !== 0) return head;
  }
  return 0;
}

/** Puts a free block into its list, and its size into it and in front of the block behind. */
function link({ words, put }: SharedMemory, at: number, size: number): void {
  const bin = place.bins + binOf(size);
  const head = words[bin]!;
  put(at, size << 1);
  put(at + size + 1, size);
  put(at + 2, head);
  put(at + 3, 0);
  if (head !== 0) put(head + 3, at);
  put(bin, at);
}

function unlink({ words, put }: SharedMemory, at: number, size: number): void {
  const next = words[at + 2]!;
  const previous = words[at + 3]!;
  if (previous === 0) put(place.bins + binOf(size), next);
  else put(previous + 2, next);
  if (next !== 0) put(next + 3, previous);
}

function sizeOf(words: Int32Array, at: number): number {
  return words[at]! >>> 1;
}

function isFree(words: Int32Array, at: number): boolean {
  return (words[at]! & 1) === 0;
}

function binOf(size: number): number {
  return 31 - Math.clz32(size);
}

function alignUp(words: number): number {
  return Math.ceil(words / unitWords) * unitWords;
}

function alignDown(words: number): number {
  return Math.floor(words / unitWords) * unitWords;
}
