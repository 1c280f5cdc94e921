/** A frame of HTTP/2 (RFC 9113 section 4.1). */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** What a client's connection begins with, before its SETTINGS. */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function frame(type: number, flag: number, stream: number, payload: Uint8Array | string = ""): Buffer {
  const bytes = Buffer.from(payload as string, "latin1");
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flag, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

/** Header lines by HPACK, each a literal that no table takes (RFC 7541 section 6.2.2). */
export function headerBlock(lines: readonly (readonly [name: string, value: string])[]): Buffer {
  const parts = lines.map(([name, value]) =>
    Buffer.concat([Buffer.from([0]), literal(name), literal(value)]),
  );
  return Buffer.concat(parts);
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  for (const [i, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return frame(frameTypes.settings, 0, 0, payload);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** The complete frames in what came. */
export function readFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frames.push({
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      stream,
      payload: bytes.subarray(at + 9, end),
    });
    at = end;
  }
  return frames;
}

const indexedStatuses: Readonly<Record<number, string>> = {
  8: "200",
  9: "204",
  10: "206",
  11: "304",
  12: "400",
  13: "404",
  14: "500",
};

/** The status at the head of a response's block, or the block in hexadecimal. */
export function statusOf(block: Buffer): string {
  const [first = 0, length = 0] = block;
  const indexed = first & 0x80 ? indexedStatuses[first & 0x7f] : undefined;
  if (indexed) return indexed;
  const isStatus = (first & 0x3f) === 8 || first === 8;
  if (!isStatus) return block.subarray(0, 8).toString("hex");
  const value = block.subarray(2, 2 + (length & 0x7f));
  return length & 0x80 ? huffmanDigits(value) : value.toString("latin1");
}

/** Digits in HPACK's code: 0, 1 and 2 have five bits, the others six (RFC 7541 appendix B). */
function huffmanDigits(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = "";
  for (let at = 0; text.length < 3 && at + 5 <= bits.length; ) {
    const short = Number.parseInt(bits.slice(at, at + 5), 2);
    const digit = short <= 2 ? short : Number.parseInt(bits.slice(at, at + 6), 2) - 0b011001 + 3;
    at += short <= 2 ? 5 : 6;
    text += String(digit);
  }
  return text;
}
