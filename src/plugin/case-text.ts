import type { HeaderLine } from "../proxy-wasm/index.ts";
import type { HeaderPair } from "./test-file.ts";

// Test files are UTF-8; the host's texts are bytes, one in each character.

/** The bytes of a text in UTF-8, as a Latin-1 string. */
export function bytesOfText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** Text where bytes are UTF-8, else `base64:…`. */
export function textOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes);
  const text = buffer.toString();
  return Buffer.from(text).equals(buffer) ? text : `base64:${buffer.toString("base64")}`;
}

export function headerLines(pairs: readonly HeaderPair[]): HeaderLine[] {
  return pairs.map(([name, value]) => [bytesOfText(name).toLowerCase(), bytesOfText(value)]);
}

export function headerPairs(lines: readonly HeaderLine[]): HeaderPair[] {
  const text = (value: string) => textOfBytes(Buffer.from(value, "latin1"));
  return lines.map(([name, value]) => [text(name), text(value)]);
}
