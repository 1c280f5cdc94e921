import { Header } from "./headers";
import { decodeText, encodeText } from "./text";

// Wire form of a header map: count, then both sizes of each pair, then the names and values, each ended by a NUL.

/** Serialises header lines as the hostcalls take them. */
export function encodePairs(headers: Header[]): ArrayBuffer {
  const count = headers.length;
  const head = 4 + 8 * count;
  let room = head;
  for (let i = 0; i < count; i++) room += 3 * (headers[i].name.length + headers[i].value.length) + 2;
  const bytes = new ArrayBuffer(room);
  const start = changetype<usize>(bytes);
  store<u32>(start, count);
  let at = start + head;
  for (let i = 0; i < count; i++) {
    const sizes = start + 4 + 8 * i;
    at = storeText(headers[i].name, at, sizes);
    at = storeText(headers[i].value, at, sizes + 4);
  }
  return bytes.slice(0, (at - start) as i32);
}

function storeText(text: string, at: usize, sizeAt: usize): usize {
  const size = encodeText(text, at);
  store<u32>(sizeAt, size as u32);
  store<u8>(at + size, 0);
  return at + size + 1;
}

/** Header lines of a serialised map. A map that is cut short ends with its last whole line. */
export function decodePairs(bytes: ArrayBuffer): Header[] {
  const headers: Header[] = [];
  const size: usize = bytes.byteLength;
  if (size < 4) return headers;
  const start = changetype<usize>(bytes);
  const count: usize = load<u32>(start);
  let at: usize = 4 + 8 * count;
  for (let i: usize = 0; i < count && at <= size; i++) {
    const nameSize: usize = load<u32>(start + 4 + 8 * i);
    const valueSize: usize = load<u32>(start + 8 + 8 * i);
    const valueAt = at + nameSize + 1;
    if (valueAt + valueSize + 1 > size) break;
    headers.push(new Header(decodeText(start + at, nameSize), decodeText(start + valueAt, valueSize)));
    at = valueAt + valueSize + 1;
  }
  return headers;
}
