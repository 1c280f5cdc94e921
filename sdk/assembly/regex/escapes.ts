import { RegexReader } from "./reader";

/**
 * Code point of an escape that stands for one, read from behind the backslash; -1 with the reader's error set when it
 * is none.
 */
export function readEscape(reader: RegexReader): i32 {
  const start = reader.at - 1;
  const point = reader.next();
  if (point < 0) return reader.fail(start, "a backslash at the end: write \\\\ for a backslash itself");
  if (point >= 0x31 && point <= 0x37 && !isOctal(reader.peek()))
    return reader.fail(start, "references back to a group are not in RE2's syntax");
  if (isOctal(point)) return readOctal(reader, point - 0x30);
  if (point == 0x78) return readHex(reader, start);
  const control = controlOf(point);
  if (control >= 0) return control;
  if (point < 0x80 && !isAlphanumeric(point)) return point;
  return reader.fail(start, `unknown escape \\${String.fromCodePoint(point)}`);
}

function readOctal(reader: RegexReader, first: i32): i32 {
  let value = first;
  for (let i = 0; i < 2 && isOctal(reader.peek()); i++) value = value * 8 + reader.next() - 0x30;
  return value;
}

/** Two digits, or any number of them in braces. */
function readHex(reader: RegexReader, start: i32): i32 {
  const isBraced = reader.eat(0x7b);
  let value = 0;
  let digits = 0;
  while (isBraced || digits < 2) {
    const digit = hexDigit(reader.peek());
    if (digit < 0) break;
    reader.next();
    digits++;
    value = value * 16 + digit;
    if (value > 0x10ffff) return reader.fail(start, "a code point is at most \\x{10FFFF}");
  }
  const isWhole = isBraced ? digits > 0 && reader.eat(0x7d) : digits == 2;
  return isWhole ? value : reader.fail(start, "\\x is expected to be \\x41 or \\x{41}");
}

function controlOf(letter: i32): i32 {
  if (letter == 0x61) return 0x07;
  if (letter == 0x66) return 0x0c;
  if (letter == 0x6e) return 0x0a;
  if (letter == 0x72) return 0x0d;
  if (letter == 0x74) return 0x09;
  return letter == 0x76 ? 0x0b : -1;
}

function hexDigit(point: i32): i32 {
  if (point >= 0x30 && point <= 0x39) return point - 0x30;
  const lower = point | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function isOctal(point: i32): bool {
  return point >= 0x30 && point <= 0x37;
}

function isAlphanumeric(point: i32): bool {
  const lower = point | 0x20;
  return (point >= 0x30 && point <= 0x39) || (lower >= 0x61 && lower <= 0x7a);
}

/** Whether a code point is a letter of ASCII, a digit or an underscore. */
export function isWordPoint(point: i32): bool {
  return isAlphanumeric(point) || point == 0x5f;
}
