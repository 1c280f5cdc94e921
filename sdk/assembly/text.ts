import { dropReceived, receivedAddress, receivedSize } from "./memory";

// Header values are bytes, and not always UTF-8. A byte that is not part of valid UTF-8 becomes the lone surrogate
// U+DC00 + byte, and such a surrogate becomes that byte again: what is read and written back stays the same bytes.
const ESCAPE: u32 = 0xdc00;

// Nearly all of it is ASCII: four characters at a time.
const NOT_ASCII_8: u32 = 0x80808080;
const NOT_ASCII_16: u64 = 0xff80ff80ff80ff80;

/** Four bytes as four code units. */
@inline
function widen(bytes: u64): u64 {
  const pairs = (bytes | (bytes << 16)) & 0x0000ffff0000ffff;
  return (pairs | (pairs << 8)) & 0x00ff00ff00ff00ff;
}

/** Four code units below 256 as four bytes. */
@inline
function narrow(units: u64): u32 {
  const pairs = (units | (units >> 8)) & 0x0000ffff0000ffff;
  return (pairs | (pairs >> 16)) as u32;
}

/** Text of `size` UTF-8 bytes at `start`. */
export function decodeText(start: usize, size: usize): string {
  if (size == 0) return "";
  const text = __new(size << 1, idof<string>());
  let units: usize = 0;
  let at = start;
  const end = start + size;
  while (at < end) {
    if (at + 4 <= end && (load<u32>(at) & NOT_ASCII_8) == 0) {
      store<u64>(text + (units << 1), widen(load<u32>(at)));
      units += 4;
      at += 4;
      continue;
    }
    const byte: u32 = load<u8>(at);
    if (byte < 0x80) {
      store<u16>(text + (units++ << 1), byte as u16);
      at++;
      continue;
    }
    const length = sequenceLength(at, end);
    if (length == 4) {
      const point = pointOf4(at) - 0x10000;
      store<u16>(text + (units++ << 1), (0xd800 | (point >> 10)) as u16);
      store<u16>(text + (units++ << 1), (0xdc00 | (point & 0x3ff)) as u16);
    } else {
      store<u16>(text + (units++ << 1), (length == 0 ? ESCAPE | byte : pointOf2or3(at, length)) as u16);
    }
    at += max(length, 1);
  }
  return changetype<string>(units == size ? text : __renew(text, units << 1));
}

/** Text of UTF-8 bytes. */
export function textOf(bytes: ArrayBuffer): string {
  return decodeText(changetype<usize>(bytes), bytes.byteLength);
}

/** Takes over the bytes of the last hostcall as text. */
export function takeText(): string {
  const text = decodeText(receivedAddress(), receivedSize());
  dropReceived();
  return text;
}

/** UTF-8 bytes of a text. */
export function bytesOf(text: string): ArrayBuffer {
  const bytes = new ArrayBuffer(text.length * 3);
  const size = encodeText(text, changetype<usize>(bytes));
  return bytes.slice(0, size as i32);
}

/** Writes a text as UTF-8 to `target`, which has room for three bytes a code unit; returns the number of bytes. */
export function encodeText(text: string, target: usize): usize {
  let at = target;
  const length = text.length;
  for (let i = 0; i < length; i++) {
    const from = changetype<usize>(text) + ((i as usize) << 1);
    if (i + 4 <= length && (load<u64>(from) & NOT_ASCII_16) == 0) {
      store<u32>(at, narrow(load<u64>(from)));
      at += 4;
      i += 3;
      continue;
    }
    const unit: u32 = load<u16>(from);
    if (unit < 0x80) {
      store<u8>(at++, unit as u8);
    } else if (unit < 0x800) {
      store<u8>(at++, (0xc0 | (unit >> 6)) as u8);
      store<u8>(at++, (0x80 | (unit & 0x3f)) as u8);
    } else if ((unit & 0xf800) != 0xd800) {
      at = store3(at, unit);
    } else if (unit < ESCAPE && i + 1 < length && (text.charCodeAt(i + 1) & 0xfc00) == 0xdc00) {
      at = store4(at, 0x10000 + ((unit & 0x3ff) << 10) + (text.charCodeAt(++i) & 0x3ff));
    } else if (unit >= (ESCAPE | 0x80) && unit <= (ESCAPE | 0xff)) {
      store<u8>(at++, unit as u8);
    } else {
      at = store3(at, 0xfffd);
    }
  }
  return at - target;
}

function store3(at: usize, point: u32): usize {
  store<u8>(at, (0xe0 | (point >> 12)) as u8);
  store<u8>(at + 1, (0x80 | ((point >> 6) & 0x3f)) as u8);
  store<u8>(at + 2, (0x80 | (point & 0x3f)) as u8);
  return at + 3;
}

function store4(at: usize, point: u32): usize {
  store<u8>(at, (0xf0 | (point >> 18)) as u8);
  store<u8>(at + 1, (0x80 | ((point >> 12) & 0x3f)) as u8);
  store<u8>(at + 2, (0x80 | ((point >> 6) & 0x3f)) as u8);
  store<u8>(at + 3, (0x80 | (point & 0x3f)) as u8);
  return at + 4;
}

/** Length of the valid multi-byte sequence at `at`, or 0 (RFC 3629: no overlong forms, no surrogates). */
function sequenceLength(at: usize, end: usize): usize {
  const byte: u32 = load<u8>(at);
  const length: usize = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
  if (byte < 0xc2 || byte > 0xf4 || at + length > end) return 0;
  for (let i: usize = 1; i < length; i++) {
    if ((load<u8>(at + i) & 0xc0) != 0x80) return 0;
  }
  if (length == 2) return 2;
  if (length == 3) {
    const point = pointOf2or3(at, 3);
    return point < 0x800 || (point & 0xf800) == 0xd800 ? 0 : 3;
  }
  const point = pointOf4(at);
  return point < 0x10000 || point > 0x10ffff ? 0 : 4;
}

function pointOf2or3(at: usize, length: usize): u32 {
  const first: u32 = load<u8>(at);
  const second: u32 = load<u8>(at + 1) & 0x3f;
  if (length == 2) return ((first & 0x1f) << 6) | second;
  return ((first & 0x0f) << 12) | (second << 6) | (load<u8>(at + 2) & 0x3f);
}

function pointOf4(at: usize): u32 {
  const first: u32 = load<u8>(at) & 0x07;
  const second: u32 = load<u8>(at + 1) & 0x3f;
  const third: u32 = load<u8>(at + 2) & 0x3f;
  return (first << 18) | (second << 12) | (third << 6) | (load<u8>(at + 3) & 0x3f);
}

const KEPT: i32 = 64 * 1024;

/** A reused place for the bytes of one hostcall argument, so that passing it allocates nothing. */
export class Scratch {
  private buffer: ArrayBuffer = new ArrayBuffer(256);
  size: usize = 0;

  /** Encodes the text and returns its address, valid until the place is used again. */
  put(text: string): usize {
    const address = this.reserve(text.length * 3);
    this.size = encodeText(text, address);
    return address;
  }

  /** Address of so many bytes, valid until the place is used again. What was there is lost. */
  reserve(room: i32): usize {
    if (room > this.buffer.byteLength || (this.buffer.byteLength > KEPT && room <= KEPT)) {
      this.buffer = new ArrayBuffer(max(room, 256));
    }
    return changetype<usize>(this.buffer);
  }
}

/** For the first text argument of a hostcall. */
export const firstArgument = new Scratch();
/** For the second text argument of a hostcall. */
export const secondArgument = new Scratch();
