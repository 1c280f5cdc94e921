/** A message as gRPC sends it: not compressed, its length, its bytes. */
export function encodeGrpcFrame(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** Takes messages out of what comes, in whatever pieces. */
export interface GrpcFrameDecoder {
  /** False: this is not gRPC, or compressed, or a message is too large. */
  push(bytes: Uint8Array): boolean;
}

export function createGrpcFrameDecoder(
  maxBytes: number,
  onMessage: (bytes: Uint8Array) => void,
): GrpcFrameDecoder {
  let parts: Uint8Array[] = [];
  let size = 0;
  /** What must be there before anything can be done: the head, or with it the message. */
  let needed = 5;
  return {
    push(bytes) {
      parts.push(bytes);
      size += bytes.length;
      if (size < needed) return true;
      let all = parts.length === 1 ? Buffer.from(bytes) : Buffer.concat(parts);
      while (all.length >= 5) {
        const length = all.readUInt32BE(1);
        if (all[0] !== 0 || length > maxBytes) return false;
        needed = 5 + length;
        if (all.length < needed) break;
        onMessage(all.subarray(5, needed));
        all = all.subarray(needed);
        needed = 5;
      }
      parts = all.length > 0 ? [all] : [];
      size = all.length;
      return true;
    },
  };
}
