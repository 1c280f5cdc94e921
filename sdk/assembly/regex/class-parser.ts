import { CharClass, perlClass, posixClass } from "./char-class";
import { readEscape } from "./escapes";
import { RegexReader } from "./reader";

/** Ranges of a class in brackets, read from behind the opening one. What is wrong is in the reader's error. */
export function readClass(reader: RegexReader, isFolded: bool): i32[] {
  const start = reader.at - 1;
  const isNegated = reader.eat(0x5e);
  const set = new CharClass();
  let isFirst = true;
  while (isFirst || reader.peek() != 0x5d) {
    if (reader.isAtEnd) reader.fail(start, "']' is missing at the end of this class");
    if (reader.error != "") return [];
    isFirst = false;
    if (!readNamedClass(reader, set, isFolded)) readRange(reader, set);
  }
  reader.next();
  if (isFolded) set.fold();
  if (isNegated) set.negate();
  return set.sorted();
}

/** Reads `[:alpha:]`, `\d` and the like; false when there is none. */
function readNamedClass(reader: RegexReader, set: CharClass, isFolded: bool): bool {
  if (reader.peek() == 0x5b) return readPosixClass(reader, set, isFolded);
  if (reader.peek() != 0x5c) return false;
  reader.next();
  const ranges = readPerlClass(reader, isFolded);
  if (ranges.length == 0) {
    reader.at--;
    return false;
  }
  set.addAll(ranges);
  return true;
}

/** Ranges of `\d`, `\D` and the like, read from behind the backslash; none when it is something else. */
export function readPerlClass(reader: RegexReader, isFolded: bool): i32[] {
  const letter = reader.peek();
  if (letter == 0x70 || letter == 0x50) {
    reader.fail(reader.at - 1, "classes of Unicode (\\p) are not supported: write the ranges");
    return [];
  }
  const ranges = perlClass(letter | 0x20);
  if (letter < 0 || ranges.length == 0) return [];
  reader.next();
  return namedRanges(ranges, (letter & 0x20) == 0, isFolded);
}

function readPosixClass(reader: RegexReader, set: CharClass, isFolded: bool): bool {
  const pattern = reader.pattern;
  const end = pattern.startsWith("[:", reader.at) ? pattern.indexOf(":]", reader.at + 2) : -1;
  if (end < 0) return false;
  const isNegated = pattern.startsWith("^", reader.at + 2);
  const name = pattern.substring(reader.at + (isNegated ? 3 : 2), end);
  const ranges = posixClass(name);
  if (ranges.length == 0) reader.fail(reader.at, `unknown class [:${name}:]`);
  set.addAll(namedRanges(ranges, isNegated, isFolded));
  reader.at = end + 2;
  return true;
}

function namedRanges(ranges: i32[], isNegated: bool, isFolded: bool): i32[] {
  const set = new CharClass();
  set.addAll(ranges);
  if (isFolded) set.fold();
  if (isNegated) set.negate();
  return set.sorted();
}

function readRange(reader: RegexReader, set: CharClass): void {
  const start = reader.at;
  const low = readClassPoint(reader);
  let high = low;
  const isRange = reader.peek() == 0x2d && reader.at + 1 < reader.pattern.length;
  if (isRange && reader.pattern.charCodeAt(reader.at + 1) != 0x5d) {
    reader.next();
    high = readClassPoint(reader);
    if (high < low) reader.fail(start, "the end of this range is before its beginning");
  }
  set.add(low, high);
}

function readClassPoint(reader: RegexReader): i32 {
  return reader.eat(0x5c) ? readEscape(reader) : reader.next();
}
