/** A valid Wasm module that does nothing. Another text makes another module, by a custom section named so; 126 bytes at most. */
export function tinyModule(text = ""): Uint8Array {
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const name = [...Buffer.from(text)];
  return Uint8Array.from(text === "" ? header : [...header, 0, name.length + 1, name.length, ...name]);
}
