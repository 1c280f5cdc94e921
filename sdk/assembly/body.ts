import { proxy_get_buffer_bytes, proxy_set_buffer_bytes } from "./abi";
import { BufferType, Status } from "./enums";
import { addressSlot, sizeSlot, takeBytes } from "./memory";
import { bytesOf, textOf } from "./text";

const ALL: u32 = 0x7fffffff;

/** Bytes of the current stream, as far as the proxy has them in the running callback. */
export class Body {
  constructor(readonly type: BufferType) {}

  /** The bytes from `start`, at most `max`; null when there is no body in this phase. */
  bytes(start: u32 = 0, max: u32 = ALL): ArrayBuffer | null {
    return readBuffer(this.type, start, max);
  }

  /** The body as text; null when there is none in this phase. */
  text(): string | null {
    const bytes = this.bytes();
    return bytes === null ? null : textOf(bytes);
  }

  /** Puts these bytes in the place of the whole body. Remove `content-length` before the headers leave. */
  replace(bytes: ArrayBuffer): bool {
    return proxy_set_buffer_bytes(this.type, 0, ALL, changetype<usize>(bytes), bytes.byteLength) == Status.Ok;
  }

  /** Puts this text in the place of the whole body. */
  replaceText(text: string): bool {
    return this.replace(bytesOf(text));
  }

  /** Adds bytes at the end. */
  append(bytes: ArrayBuffer): bool {
    return proxy_set_buffer_bytes(this.type, ALL, 0, changetype<usize>(bytes), bytes.byteLength) == Status.Ok;
  }

  /** Adds bytes at the beginning. */
  prepend(bytes: ArrayBuffer): bool {
    return proxy_set_buffer_bytes(this.type, 0, 0, changetype<usize>(bytes), bytes.byteLength) == Status.Ok;
  }
}

/** Bytes of a buffer; null when it does not exist in this phase. */
export function readBuffer(type: BufferType, start: u32 = 0, max: u32 = ALL): ArrayBuffer | null {
  const status = proxy_get_buffer_bytes(type, start, max, addressSlot(), sizeSlot());
  return status == Status.Ok ? takeBytes() : null;
}

/** Body of the current request. */
export const requestBody = new Body(BufferType.RequestBody);
/** Body of the current response. */
export const responseBody = new Body(BufferType.ResponseBody);
/** What a TCP client sent. */
export const downstreamData = new Body(BufferType.DownstreamData);
/** What a TCP upstream sent. */
export const upstreamData = new Body(BufferType.UpstreamData);
