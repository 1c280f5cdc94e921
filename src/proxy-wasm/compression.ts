import { constants, deflateSync, inflateSync } from "node:zlib";

/** Envoy's foreign function `compress`: the argument is the bytes, the result their zlib stream (RFC 1950), default level. */
export function compressBytes(bytes: Uint8Array): Uint8Array {
  return deflateSync(bytes);
}

/**
 * Envoy's foreign function `uncompress`: the argument is a zlib stream, the result what is in it. Undefined stands for
 * Envoy's SERIALIZATION_FAILURE: no zlib stream, or one that is cut off or corrupt. Bytes behind the stream are ignored.
 */
// Unlike Envoy: more than maxBytes is refused too; there a small argument can take all memory.
export function uncompressBytes(bytes: Uint8Array, maxBytes: number): Uint8Array | undefined {
  try {
    const result = inflateSync(bytes, {
      // One more than wanted: zlib.inflateSync takes no limit of 0.
      maxOutputLength: maxBytes + 1,
      finishFlush: constants.Z_FINISH,
    });
    return result.length <= maxBytes ? result : undefined;
  } catch {
    return undefined;
  }
}
