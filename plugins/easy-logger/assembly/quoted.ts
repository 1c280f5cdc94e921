import { quoteJson } from "@wasmline/plugin-sdk/assembly";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { decodeText } from "@wasmline/plugin-sdk/assembly/text";

const QUOTE: u8 = 0x22;

/** Writes the JSON string of UTF-8 bytes. Nearly all are as they are. */
export function pushQuoted(line: ByteWriter, at: usize, size: usize): void {
  if (!isPlain(at, size)) {
    line.pushText(quoteJson(decodeText(at, size)));
    return;
  }
  line.push(QUOTE);
  line.pushSpan(at, size as i32);
  line.push(QUOTE);
}

/** Whether there is nothing to be escaped, and nothing beyond ASCII. */
function isPlain(at: usize, size: usize): bool {
  const end = at + size;
  for (; at + 8 <= end; at += 8) {
    if (!arePlain(load<u64>(at))) return false;
  }
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte < 0x20 || byte > 0x7f || byte == QUOTE || byte == 0x5c) return false;
  }
  return true;
}

const ONES: u64 = 0x0101010101010101;
const HIGH: u64 = 0x8080808080808080;

/** Of eight bytes: none is above 0x7f, below a blank, a quotation mark or a backslash. */
function arePlain(bytes: u64): bool {
  const quotes = bytes ^ (ONES * 0x22);
  const slashes = bytes ^ (ONES * 0x5c);
  const odd = (bytes - ONES * 0x20) | (quotes - ONES) | (slashes - ONES) | bytes;
  return (odd & HIGH) == 0;
}
