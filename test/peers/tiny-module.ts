import { createCipheriv, createHash } from "node:crypto";

/** A valid Wasm module that does nothing. Another text makes another module, by a custom section named so; 126 bytes at most. */
export function tinyModule(text = ""): Uint8Array {
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const name = [...Buffer.from(text)];
  return Uint8Array.from(text === "" ? header : [...header, 0, name.length + 1, name.length, ...name]);
}

/** A valid Wasm module of about so many bytes that do nothing, and that no two texts have in common nor any compression makes smaller. */
export function largeModule(text: string, bytes: number): Uint8Array {
  const cipher = createCipheriv("aes-256-ctr", createHash("sha256").update(text).digest(), Buffer.alloc(16));
  const noise = cipher.update(Buffer.alloc(bytes));
  const size = noise.length + 1;
  const leb = [size & 0x7f, (size >> 7) & 0x7f, (size >> 14) & 0x7f, (size >> 21) & 0x7f];
  const [a = 0, b = 0, c = 0, d = 0] = leb;
  return Buffer.concat([tinyModule(), Buffer.from([0, a | 0x80, b | 0x80, c | 0x80, d, 0]), noise]);
}
