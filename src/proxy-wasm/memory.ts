import { isUtf8 } from "node:buffer";
import { Status } from "./abi.ts";
import type { HeaderLine, HeaderMap } from "./header-map.ts";
import { deserializeHeaders } from "./header-map-codec.ts";
import { findName, findText } from "./names.ts";
import type { WasmMemory } from "./web-assembly.ts";

// Node's own methods behind Buffer's `toString("latin1")` and `write(…, "latin1")`, which cost no check of arguments.
interface Latin1 {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, start: number, length: number): number;
}
type Bytes = Buffer & Latin1;

/** Below this, a loop over characters is faster than a call into Node. */
const loopLength = 32;

const pooledBytes = 1024;

/** Gives room in the guest; 0 if there is none. */
export type Allocate = (size: number) => number;

/**
 * The memory of a guest. Each access is checked against its end; addresses and sizes are unsigned. A view becomes
 * useless when the memory grows, which any call into the guest may make it do.
 */
export class GuestMemory {
  private readonly memory: WasmMemory;
  private readonly allocate: Allocate;
  private bytes!: Bytes;
  private view!: DataView;

  constructor(memory: WasmMemory, allocate: Allocate) {
    this.memory = memory;
    this.allocate = allocate;
    this.renew();
  }

  get size(): number {
    return this.fresh().length;
  }

  /** Says whether the guest has all of these bytes. */
  has(at: number, size: number): boolean {
    return (at >>> 0) + (size >>> 0) <= this.fresh().length;
  }

  /** A header's name in lower-case. The bytes must be there, as for all that read. */
  name(at: number, size: number): string {
    return findName(this.fresh(), at >>> 0, size >>> 0);
  }

  /** Bytes as Latin-1, for what guests say again and again. */
  known(at: number, size: number): string {
    return findText(this.fresh(), at >>> 0, size >>> 0);
  }

  /** Bytes as Latin-1. */
  text(at: number, size: number): string {
    const start = at >>> 0;
    const end = start + (size >>> 0);
    const bytes = this.fresh();
    if (end - start > loopLength) return bytes.latin1Slice(start, end);
    let text = "";
    for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
    return text;
  }

  /** The lines of a map that a guest hands over, names lower-case; none if it is broken, as proxy-wasm-cpp-host takes it. */
  lines(at: number, size: number): HeaderLine[] {
    return deserializeHeaders(this.fresh(), at >>> 0, size >>> 0) ?? [];
  }

  /** Bytes as people read them. */
  message(at: number, size: number): string {
    return showText(this.fresh().subarray(at >>> 0, (at >>> 0) + (size >>> 0)));
  }

  /** A copy. */
  copy(at: number, size: number): Uint8Array {
    // A small one costs no buffer of its own.
    if (size >>> 0 <= pooledBytes) return Buffer.from(this.view8(at, size));
    return Uint8Array.prototype.slice.call(this.fresh(), at >>> 0, (at >>> 0) + (size >>> 0));
  }

  /** The bytes themselves, good until the guest runs again. */
  view8(at: number, size: number): Uint8Array {
    return this.fresh().subarray(at >>> 0, (at >>> 0) + (size >>> 0));
  }

  setUint32(at: number, value: number): Status {
    if (!this.has(at, 4)) return Status.InvalidMemoryAccess;
    this.view.setUint32(at >>> 0, value, true);
    return Status.Ok;
  }

  setUint64(at: number, value: bigint): Status {
    if (!this.has(at, 8)) return Status.InvalidMemoryAccess;
    this.view.setBigUint64(at >>> 0, value, true);
    return Status.Ok;
  }

  /** Hands a Latin-1 string to the guest in room of its own, which the guest frees. */
  giveText(text: string, pointerAt: number, sizeAt: number): Status {
    const size = text.length;
    if (size === 0) return this.giveNothing(pointerAt, sizeAt);
    const at = this.room(size);
    if (at === 0) return Status.InvalidMemoryAccess;
    const bytes = this.bytes;
    if (size > loopLength) bytes.latin1Write(text, at, size);
    else for (let i = 0; i < size; i++) bytes[at + i] = text.charCodeAt(i);
    return this.point(at, size, pointerAt, sizeAt);
  }

  /** Hands bytes to the guest in room of its own, which the guest frees. */
  giveBytes(value: Uint8Array, pointerAt: number, sizeAt: number): Status {
    const size = value.length;
    if (size === 0) return this.giveNothing(pointerAt, sizeAt);
    const at = this.room(size);
    if (at === 0) return Status.InvalidMemoryAccess;
    this.bytes.set(value, at);
    return this.point(at, size, pointerAt, sizeAt);
  }

  /** Hands a map of headers to the guest in room of its own, which the guest frees. */
  giveMap(map: HeaderMap, pointerAt: number, sizeAt: number): Status {
    const size = map.encodedSize;
    if (size === 0) return this.giveNothing(pointerAt, sizeAt);
    const at = this.room(size);
    if (at === 0) return Status.InvalidMemoryAccess;
    map.encodeTo(this.bytes, at);
    return this.point(at, size, pointerAt, sizeAt);
  }

  private giveNothing(pointerAt: number, sizeAt: number): Status {
    this.fresh();
    return this.point(0, 0, pointerAt, sizeAt);
  }

  /** Exactly so much: the guest frees with the size that it is told. */
  private room(size: number): number {
    const at = this.allocate(size) >>> 0;
    return this.has(at, size) ? at : 0;
  }

  private point(at: number, size: number, pointerAt: number, sizeAt: number): Status {
    const [pointer, length] = [pointerAt >>> 0, sizeAt >>> 0];
    const end = this.bytes.length;
    if (pointer + 4 > end || length + 4 > end) return Status.InvalidMemoryAccess;
    this.view.setUint32(pointer, at, true);
    this.view.setUint32(length, size, true);
    return Status.Ok;
  }

  /** Growing detaches the buffer that was: its views have length 0 then. */
  private fresh(): Bytes {
    if (this.bytes.length === 0) this.renew();
    return this.bytes;
  }

  private renew(): void {
    const { buffer } = this.memory;
    this.bytes = Buffer.from(buffer) as Bytes;
    this.view = new DataView(buffer);
  }
}

/** UTF-8, or what is none as Latin-1. */
export function showText(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  // A text may hold the character that stands for broken ones.
  return text.includes("\ufffd") && !isUtf8(bytes) ? bytes.toString("latin1") : text;
}
