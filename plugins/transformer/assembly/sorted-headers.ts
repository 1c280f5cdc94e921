import { MapType } from "@wasmline/plugin-sdk/assembly";
import { replaceLines } from "@wasmline/plugin-sdk/assembly/header-bytes";
import { PairReader, readPairs } from "@wasmline/plugin-sdk/assembly/pairs";
import { encodeText, Scratch } from "@wasmline/plugin-sdk/assembly/text";
import { HeaderChange } from "./header-table";

// Every request comes through here: lines stay bytes, and are sorted in places that are used again.

/** A line: the beginning of its name, and where its name and value are. */
@unmanaged
class Line {
  /** The first eight bytes, as a number that sorts as they do. */
  prefix: u64;
  nameAt: usize;
  nameSize: usize;
  valueAt: usize;
  valueSize: usize;
}

const LINE: usize = offsetof<Line>();
const places = new Scratch();
const texts = new Scratch();
const output = new Scratch();

/** Where the sorted lines begin and end, and how much there is in them. */
let first: usize = 0;
let end: usize = 0;
let textSize: usize = 0;

/** Writes a map's lines, with their changes, in the order of the bytes of their names. Lines of one name stay in their order. */
export function writeSorted(type: MapType, lines: ArrayBuffer, changes: HeaderChange | null): void {
  const pairs = readPairs(lines);
  begin(pairs.count, changes);
  while (pairs.next()) {
    if (!isChanged(pairs, changes)) insert(pairs.nameAt, pairs.nameSize, pairs.valueAt, pairs.valueSize);
  }
  const count = (end - first) / LINE;
  const size: usize = 4 + 10 * count + textSize;
  const start = output.reserve(size as i32);
  writeLines(start, count);
  replaceLines(type, start, size);
}

/** Makes room, and begins with the lines that are new. */
function begin(count: i32, changes: HeaderChange | null): void {
  let room = 0;
  let change = changes;
  while (change !== null) {
    const length = change.values.length;
    room += change.name.length;
    for (let i = 0; i < length; i++) room += change.values[i].length;
    count += length;
    change = change.next;
  }
  first = places.reserve(count * (LINE as i32));
  end = first;
  textSize = 0;
  let at = texts.reserve(3 * room);
  change = changes;
  while (change !== null) {
    at = insertChange(change, at);
    change = change.next;
  }
}

/** Returns the address behind the texts. */
function insertChange(change: HeaderChange, start: usize): usize {
  change.nameAt = start;
  change.nameSize = encodeText(change.name, start);
  let at = start + change.nameSize;
  for (let i = 0; i < change.values.length; i++) {
    const size = encodeText(change.values[i], at);
    insert(start, change.nameSize, at, size);
    at += size;
  }
  return at;
}

function isChanged(pairs: PairReader, changes: HeaderChange | null): bool {
  let change = changes;
  while (change !== null) {
    if (pairs.isNamed(change.nameAt, change.nameSize)) return true;
    change = change.next;
  }
  return false;
}

/** Puts a line behind all that do not come after it. */
function insert(nameAt: usize, nameSize: usize, valueAt: usize, valueSize: usize): void {
  const prefix = prefixOf(nameAt, nameSize);
  let at = end;
  while (at > first && comesBefore(prefix, nameAt, nameSize, changetype<Line>(at - LINE))) at -= LINE;
  memory.copy(at + LINE, at, end - at);
  end += LINE;
  textSize += nameSize + valueSize;
  const line = changetype<Line>(at);
  line.prefix = prefix;
  line.nameAt = nameAt;
  line.nameSize = nameSize;
  line.valueAt = valueAt;
  line.valueSize = valueSize;
}

function prefixOf(nameAt: usize, size: usize): u64 {
  if (size >= 8) return bswap<u64>(load<u64>(nameAt));
  let prefix: u64 = 0;
  for (let i: usize = 0; i < size; i++) prefix = (prefix << 8) | load<u8>(nameAt + i);
  return size == 0 ? 0 : prefix << (8 * (8 - size));
}

function comesBefore(prefix: u64, nameAt: usize, nameSize: usize, other: Line): bool {
  if (prefix != other.prefix) return prefix < other.prefix;
  const difference = memory.compare(nameAt, other.nameAt, min(nameSize, other.nameSize));
  return difference == 0 ? nameSize < other.nameSize : difference < 0;
}

function writeLines(start: usize, count: usize): void {
  store<u32>(start, count as u32);
  let sizesAt = start + 4;
  let at = sizesAt + 8 * count;
  for (let from = first; from < end; from += LINE, sizesAt += 8) {
    const line = changetype<Line>(from);
    store<u32>(sizesAt, line.nameSize as u32);
    store<u32>(sizesAt, line.valueSize as u32, 4);
    at = copyText(at, line.nameAt, line.nameSize);
    at = copyText(at, line.valueAt, line.valueSize);
  }
}

function copyText(at: usize, from: usize, size: usize): usize {
  memory.copy(at, from, size);
  store<u8>(at + size, 0);
  return at + size + 1;
}
