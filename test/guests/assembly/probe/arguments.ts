import { JsonValue } from "../../../../sdk/assembly/json/value";
import { decodeText, encodeText } from "../../../../sdk/assembly/text";

/** Numbers that a script keeps and uses by name, as `$name`. */
export const variables = new Map<string, u64>();

/** The arguments of a hostcall: a number is one, a text or a map is two, its address and its size. */
export class Arguments {
  private values: u64[] = [];
  private kept: ArrayBuffer[] = [];

  constructor(step: JsonValue[]) {
    for (let i = 1; i < step.length; i++) this.add(step[i]);
  }

  /** Argument `index`; what the script left out is 0. */
  at(index: i32): u32 {
    return index < this.values.length ? (this.values[index] as u32) : 0;
  }

  long(index: i32): u64 {
    return index < this.values.length ? this.values[index] : 0;
  }

  private add(value: JsonValue): void {
    if (value.isNumber) this.values.push(value.number as i64 as u64);
    else if (value.isString) this.addText(value.text());
    else if (value.isArray) this.addBytes(value.list().length > 0 && value.list()[0].isArray ? pairs(value.list()) : path(value.list()));
    else if (value.get("hex").exists) this.addBytes(fromHex(value.get("hex").text()));
    else if (value.get("times").exists) this.addBytes(bytes(value.get("text").text().repeat(value.get("times").number as i32)));
    else {
      this.values.push(0);
      this.values.push(0);
    }
  }

  private addText(text: string): void {
    if (text.startsWith("$")) this.values.push(variables.has(text) ? variables.get(text) : 0);
    else this.addBytes(bytes(text));
  }

  private addBytes(value: ArrayBuffer): void {
    this.kept.push(value);
    this.values.push(value.byteLength == 0 ? 0 : changetype<usize>(value));
    this.values.push(value.byteLength);
  }
}

/** The bytes of a text. */
export function bytes(text: string): ArrayBuffer {
  const room = new ArrayBuffer(text.length * 3);
  return room.slice(0, encodeText(text, changetype<usize>(room)) as i32);
}

/** The parts of a property's path. */
function path(parts: JsonValue[]): ArrayBuffer {
  let text = "";
  for (let i = 0; i < parts.length; i++) text += (i > 0 ? "\0" : "") + parts[i].text();
  return bytes(text);
}

/** Header lines as the hostcalls take them. */
function pairs(lines: JsonValue[]): ArrayBuffer {
  const sizes = new ArrayBuffer(4 + 8 * lines.length);
  store<u32>(changetype<usize>(sizes), lines.length);
  let text = "";
  for (let i = 0; i < lines.length; i++) {
    for (let j = 0; j < 2; j++) {
      const part = lines[i].list()[j].text();
      store<u32>(changetype<usize>(sizes) + 4 + 8 * i + 4 * j, bytes(part).byteLength);
      text += part + "\0";
    }
  }
  const tail = bytes(text);
  const whole = new ArrayBuffer(sizes.byteLength + tail.byteLength);
  memory.copy(changetype<usize>(whole), changetype<usize>(sizes), sizes.byteLength);
  memory.copy(changetype<usize>(whole) + sizes.byteLength, changetype<usize>(tail), tail.byteLength);
  return whole;
}

function fromHex(digits: string): ArrayBuffer {
  const value = new ArrayBuffer(digits.length / 2);
  for (let i = 0; i < value.byteLength; i++)
    store<u8>(changetype<usize>(value) + i, U8.parseInt(digits.substr(2 * i, 2), 16));
  return value;
}

/** Bytes for a log line: printable ASCII as it is, the rest as \xNN; of long ones the size and the first 80. */
export function show(start: usize, size: usize): string {
  let text = size > 400 ? `(${size} bytes) ` : "";
  const end = start + (size > 400 ? 80 : size);
  for (let at = start; at < end; at++) {
    const byte = load<u8>(at);
    text += byte >= 0x20 && byte < 0x7f && byte != 0x5c ? String.fromCharCode(byte) : `\\x${hex(byte)}`;
  }
  return text;
}

/** Serialised header lines for a log line, or the bytes if they are none. */
export function showPairs(start: usize, size: usize): string {
  if (size < 4) return show(start, size);
  const count = load<u32>(start);
  let at = start + 4 + 8 * (count as usize);
  let text = `${count} pairs`;
  for (let i: u32 = 0; i < count && at <= start + size; i++) {
    const name = load<u32>(start + 4 + 8 * i);
    const value = load<u32>(start + 8 + 8 * i);
    text += ` | ${show(at, name)}: ${show(at + name + 1, value)}`;
    at += name + value + 2;
  }
  return at == start + size ? text : `${text} (${start + size - at} bytes over)`;
}

function hex(byte: u8): string {
  const digits = "0123456789abcdef";
  return digits.charAt(byte >> 4) + digits.charAt(byte & 15);
}

/** The text of JSON that the host gave. */
export function copy(start: usize, size: usize): string {
  return decodeText(start, size);
}
