import { readSize, section, text } from "./hand-made-module.ts";

const stock = Buffer.from(text("proxy_abi_version_0_2_1"));
const higress = Buffer.from(text("proxy_abi_version_0_2_100"));

/** The same module with the marker of Higress' ABI, as its Go SDK writes it. Takes what has its exports in one section. */
export function markedForHigress(bytes: Uint8Array): Uint8Array {
  const sections: number[][] = [];
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at]!;
    const [length, start] = readSize(bytes, at + 1);
    const payload = Buffer.from(bytes.subarray(start, start + length));
    const marker = id === 7 ? payload.indexOf(stock) : -1;
    const changed =
      marker < 0
        ? payload
        : Buffer.concat([payload.subarray(0, marker), higress, payload.subarray(marker + stock.length)]);
    sections.push(section(id, [...changed]));
    at = start + length;
  }
  return Buffer.concat([bytes.subarray(0, 8), ...sections.map((each) => Uint8Array.from(each))]);
}
