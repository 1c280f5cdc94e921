import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { skipScalar, skipSpace, skipString } from "./scan";

/** Arrays that end before this column stand in one line. */
const WIDTH: i32 = 80;

/** Valid JSON in the layout of tidwall/pretty; as it is when that would be very much larger. */
export function prettyJson(json: ArrayBuffer): ArrayBuffer {
  const writer = new PrettyWriter(json);
  return writer.write() ? writer.take() : json;
}

class PrettyWriter {
  private out: ByteWriter;
  private at: usize;
  private end: usize;
  private maxSize: i32;
  /** Where the current line begins. */
  private line: i32 = 0;
  /** Of each array or object around the current place: how many values it has so far, and whether it is an object. */
  private counts: i32[] = [];
  private isObject: bool[] = [];

  constructor(private json: ArrayBuffer) {
    const start = changetype<usize>(json);
    this.at = start;
    this.end = start + json.byteLength;
    this.out = new ByteWriter(2 * json.byteLength + 64);
    this.maxSize = 4 * json.byteLength + (4 << 20);
  }

  take(): ArrayBuffer {
    return this.out.take();
  }

  /** Writes all; false when it is too much. */
  write(): bool {
    const out = this.out;
    while (out.size <= this.maxSize) {
      this.at = skipSpace(this.at, this.end);
      if (this.at >= this.end) {
        out.push(0x0a);
        return true;
      }
      const byte = load<u8>(this.at);
      if (byte == 0x2c) {
        this.at++;
      } else if (byte == 0x7d || byte == 0x5d) {
        this.close(byte);
      } else {
        this.beginItem(byte);
        this.writeValue();
      }
    }
    return false;
  }

  /** What stands before a value: comma, line, name. */
  private beginItem(byte: u8): void {
    const depth = this.counts.length;
    if (depth == 0) return;
    const isObject = this.isObject[depth - 1];
    if (this.counts[depth - 1]++ > 0) {
      this.out.push(0x2c);
      if (!isObject) this.out.push(0x20);
    }
    this.breakLine();
    this.out.pushRepeated(0x20, 2 * depth);
    if (!isObject) return;
    const next = skipString(this.at, this.end);
    this.copyTo(next);
    this.out.push(0x3a);
    this.out.push(0x20);
    this.at = skipSpace(skipSpace(next, this.end) + 1, this.end);
  }

  private writeValue(): void {
    const byte = load<u8>(this.at);
    if (byte == 0x5b && this.writeLine()) return;
    if (byte == 0x7b || byte == 0x5b) {
      this.out.push(byte);
      this.counts.push(0);
      this.isObject.push(byte == 0x7b);
      this.at++;
    } else {
      this.copyTo(byte == 0x22 ? skipString(this.at, this.end) : skipScalar(this.at, this.end));
    }
  }

  private close(byte: u8): void {
    const count = this.counts.pop();
    this.isObject.pop();
    if (count > 0) {
      this.breakLine();
      this.out.pushRepeated(0x20, 2 * this.counts.length);
    }
    this.out.push(byte);
    this.at++;
  }

  /** Begins a line; a space at the end of the last one gives its place to the break, and counts as one of the next. */
  private breakLine(): void {
    this.line = this.out.size;
    if (this.out.last() == 0x20) this.out.setLast(0x0a);
    else this.out.push(0x0a);
  }

  /** Writes an array in the current line. False, and nothing written, when it has an object or does not fit. */
  private writeLine(): bool {
    const room = WIDTH - (this.out.size - this.line);
    const size = this.out.size;
    const start = this.at;
    let depth = 0;
    while (room > 3 && this.out.size - size <= room) {
      this.at = skipSpace(this.at, this.end);
      const byte = load<u8>(this.at);
      if (byte == 0x7b) break;
      if (byte == 0x2c) {
        this.out.push(0x2c);
        this.out.push(0x20);
        this.at++;
      } else if (byte == 0x5b || byte == 0x5d) {
        this.out.push(byte);
        this.at++;
        depth += byte == 0x5b ? 1 : -1;
        if (depth == 0 && this.out.size - size <= room) return true;
      } else {
        this.copyTo(byte == 0x22 ? skipString(this.at, this.end) : skipScalar(this.at, this.end));
      }
    }
    this.out.truncate(size);
    this.at = start;
    return false;
  }

  private copyTo(next: usize): void {
    this.out.pushSpan(this.at, (next - this.at) as i32);
    this.at = next;
  }
}
