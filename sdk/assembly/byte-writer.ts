import { encodeText } from "./text";

/** Bytes that are written one after the other. */
export class ByteWriter {
  size: i32 = 0;
  private buffer: ArrayBuffer;

  constructor(room: i32 = 256) {
    this.buffer = new ArrayBuffer(room);
  }

  /** Address of the first byte, valid until something is written. */
  get start(): usize {
    return changetype<usize>(this.buffer);
  }

  /** The last byte; 0 before the first. */
  last(): u8 {
    return this.size > 0 ? load<u8>(changetype<usize>(this.buffer) + this.size - 1) : 0;
  }

  /** Puts another byte in the place of the last one. */
  setLast(byte: u8): void {
    store<u8>(changetype<usize>(this.buffer) + this.size - 1, byte);
  }

  push(byte: u8): void {
    this.reserve(1);
    store<u8>(changetype<usize>(this.buffer) + this.size++, byte);
  }

  pushRepeated(byte: u8, count: i32): void {
    this.reserve(count);
    memory.fill(changetype<usize>(this.buffer) + this.size, byte, count);
    this.size += count;
  }

  /** Copies `size` bytes from an address. */
  pushSpan(from: usize, size: i32): void {
    this.reserve(size);
    memory.copy(changetype<usize>(this.buffer) + this.size, from, size);
    this.size += size;
  }

  pushBytes(bytes: ArrayBuffer): void {
    this.pushSpan(changetype<usize>(bytes), bytes.byteLength);
  }

  pushText(text: string): void {
    this.reserve(text.length * 3);
    this.size += encodeText(text, changetype<usize>(this.buffer) + this.size) as i32;
  }

  /** Writes a number in decimal notation. */
  pushInteger(value: u64): void {
    let size = 1;
    for (let rest = value / 10; rest > 0; rest /= 10) size++;
    this.reserve(size);
    let at = this.start + this.size + size;
    this.size += size;
    do {
      store<u8>(--at, 0x30 + ((value % 10) as u8));
      value /= 10;
    } while (value > 0);
  }

  /** Forgets all bytes, and gives room beyond `kept` back. */
  clear(kept: i32): void {
    this.size = 0;
    if (this.buffer.byteLength > kept) this.buffer = new ArrayBuffer(kept);
  }

  /** Forgets all bytes from `size` on. */
  truncate(size: i32): void {
    this.size = size;
  }

  /** What was written. */
  take(): ArrayBuffer {
    return this.buffer.slice(0, this.size);
  }

  private reserve(count: i32): void {
    const room = this.buffer.byteLength;
    if (this.size + count <= room) return;
    const larger = new ArrayBuffer(max(2 * room, this.size + count));
    memory.copy(changetype<usize>(larger), changetype<usize>(this.buffer), this.size);
    this.buffer = larger;
  }
}
