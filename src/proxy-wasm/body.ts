import { Status } from "./abi.ts";

/** What a guest reads, and maybe writes, by `proxy_get_buffer_bytes` and `proxy_set_buffer_bytes`. */
export interface GuestBuffer {
  readonly length: number;
  /** So many bytes from a start; they are there. May be a view that a later change overwrites. */
  read(start: number, length: number): Uint8Array;
  write(start: number, length: number, bytes: Uint8Array): Status;
}

const none = new Uint8Array(0);
/** What a guest may make of a body. */
const maxWrittenBytes = 256 * 1024 * 1024;

/** A body, or the part of one that is held: bytes that come in at the end and leave as a whole. */
export class Body implements GuestBuffer {
  private parts: Uint8Array[];
  length: number;

  /** Takes the bytes over. */
  constructor(bytes: Uint8Array = none) {
    this.parts = bytes.length === 0 ? [] : [bytes];
    this.length = bytes.length;
  }

  /** Takes the bytes over. */
  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  /** Moves what another one has to the end. */
  moveFrom(other: Body): void {
    this.append(other.take());
  }

  /** All of it in one piece. */
  bytes(): Uint8Array {
    if (this.parts.length > 1) this.parts = [Buffer.concat(this.parts, this.length)];
    return this.parts[0] ?? none;
  }

  /** Gives all of it away. */
  take(): Uint8Array {
    const bytes = this.bytes();
    this.clear();
    return bytes;
  }

  clear(): void {
    this.parts = [];
    this.length = 0;
  }

  read(start: number, length: number): Uint8Array {
    return this.bytes().subarray(start, start + length);
  }

  /** As Envoy: in front, so many bytes are replaced; from the end on, it is appended; nothing in between. */
  write(start: number, length: number, bytes: Uint8Array): Status {
    if (this.length + bytes.length > maxWrittenBytes) return Status.BadArgument;
    if (start === 0) this.replaceFront(length, bytes);
    else if (start >= this.length) this.append(bytes);
    else return Status.BadArgument;
    return Status.Ok;
  }

  private replaceFront(length: number, bytes: Uint8Array): void {
    const rest = length >= this.length ? none : this.bytes().subarray(length);
    this.parts = [bytes, rest].filter((part) => part.length > 0);
    this.length = bytes.length + rest.length;
  }
}

/** A buffer that guests may only read. */
export class ConstantBuffer implements GuestBuffer {
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  read(start: number, length: number): Uint8Array {
    return this.bytes.subarray(start, start + length);
  }

  write(): Status {
    return Status.BadArgument;
  }
}
