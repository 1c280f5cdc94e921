import { readSize, size as sizeOf } from "./hand-made-module.ts";

/** Sections by their id: 1 types, 3 which function has which type, 10 code. */
const [types, functions, code] = [1, 3, 10];
const stepsOfFunction = 256;

/** The same module with functions that nobody calls, so many that it has at least that many bytes; each has code of its own. */
export function paddedModule(bytes: Uint8Array, size: number): Uint8Array {
  const missing = Math.max(0, size - bytes.length);
  const count = Math.ceil(missing / functionBody(0).length);
  const parts: Uint8Array[] = [bytes.subarray(0, 8)];
  let type = 0;
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at]!;
    const [length, start] = readSize(bytes, at + 1);
    const payload = bytes.subarray(start, start + length);
    if (id === types) {
      type = readSize(payload, 0)[0];
      parts.push(extended(id, payload, [Buffer.from([0x60, 0, 0])]));
    } else if (id === functions) {
      const index = Buffer.from(sizeOf(type));
      parts.push(extended(id, payload, new Array<Buffer>(count).fill(index)));
    } else if (id === code) {
      parts.push(
        extended(
          id,
          payload,
          Array.from({ length: count }, (_, index) => functionBody(index)),
        ),
      );
    } else {
      parts.push(bytes.subarray(at, start + length));
    }
    at = start + length;
  }
  return Buffer.concat(parts);
}

/** A section that is a list, with more entries at its end. */
function extended(id: number, payload: Uint8Array, more: readonly Buffer[]): Buffer {
  const [count, start] = readSize(payload, 0);
  const entries = Buffer.concat([payload.subarray(start), ...more]);
  const head = sizeOf(count + more.length);
  return Buffer.concat([Buffer.from([id, ...sizeOf(head.length + entries.length), ...head]), entries]);
}

/** `local 0 = (local 0 * a) ^ b`, many times with other numbers. */
function functionBody(seed: number): Buffer {
  const steps: number[] = [];
  for (let step = 0; step < stepsOfFunction; step++) {
    const number = (seed * stepsOfFunction + step) % 0x100000;
    steps.push(0x20, 0, 0x41, ...constant(number), 0x6c, 0x41, ...constant(number ^ 0x5555), 0x73, 0x21, 0);
  }
  const content = [1, 1, 0x7f, ...steps, 0x0b];
  return Buffer.from([...sizeOf(content.length), ...content]);
}

/** A small i32 in a fixed number of bytes, so that each function has the same size. */
function constant(value: number): number[] {
  return [(value & 0x7f) | 0x80, ((value >> 7) & 0x7f) | 0x80, ((value >> 14) & 0x7f) | 0x80, 0];
}
