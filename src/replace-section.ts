import type { ModuleSection } from "./read-module.ts";

/** A Wasm module with other content in one of its sections. */
export function replaceSection(
  bytes: Uint8Array,
  { sizeAt, end }: ModuleSection,
  content: Uint8Array,
): Uint8Array {
  return Buffer.concat([
    bytes.subarray(0, sizeAt),
    encodeUnsigned(content.length),
    content,
    bytes.subarray(end),
  ]);
}

/** An unsigned LEB128. */
export function encodeUnsigned(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return Uint8Array.from([...bytes, left]);
    bytes.push((left & 0x7f) | 0x80);
  }
}
