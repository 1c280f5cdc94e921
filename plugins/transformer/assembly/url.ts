import { bytesOf } from "@wasmline/plugin-sdk/assembly";
import { ByteWriter } from "@wasmline/plugin-sdk/assembly/byte-writer";
import { KeyValues } from "./key-values";

const HEX: string = "0123456789ABCDEF";

/** A query or a form in the order of its keys, escaped as Go's url.Values.Encode does. */
export function encodeForm(table: KeyValues): ArrayBuffer {
  const writer = new ByteWriter();
  const keys = table.sortedKeys();
  for (let i = 0; i < keys.length; i++) {
    const values = table.get(keys[i]);
    for (let k = 0; k < values.length; k++) {
      if (writer.size > 0) writer.push(0x26);
      pushEscaped(writer, keys[i]);
      writer.push(0x3d);
      pushEscaped(writer, values[k]);
    }
  }
  return writer.take();
}

/** A request path with another query. A lone `?` at its end stays. */
export function withQuery(path: string, query: string): string {
  const hash = path.indexOf("#");
  const target = hash < 0 ? path : path.substring(0, hash);
  const fragment = hash < 0 ? "" : path.substring(hash);
  const mark = target.indexOf("?");
  const base = mark < 0 ? target : target.substring(0, mark);
  const isLone = mark >= 0 && mark == target.length - 1;
  return base + (query != "" || isLone ? "?" + query : "") + fragment;
}

function pushEscaped(writer: ByteWriter, text: string): void {
  const bytes = bytesOf(text);
  for (let i = 0; i < bytes.byteLength; i++) {
    const byte: u8 = load<u8>(changetype<usize>(bytes) + i);
    if (isUnreserved(byte)) {
      writer.push(byte);
    } else if (byte == 0x20) {
      writer.push(0x2b);
    } else {
      writer.push(0x25);
      writer.push(HEX.charCodeAt(byte >> 4) as u8);
      writer.push(HEX.charCodeAt(byte & 15) as u8);
    }
  }
}

function isUnreserved(byte: u8): bool {
  const lower = byte | 0x20;
  if ((byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x7a)) return true;
  return byte == 0x2d || byte == 0x2e || byte == 0x5f || byte == 0x7e;
}

/** Whether Go's url.Parse takes a request path: no control characters, and each escape before the query whole. */
export function isParsableUrl(path: string): bool {
  const hash = path.indexOf("#");
  const mark = path.indexOf("?");
  for (let i = 0; i < path.length; i++) {
    const unit = path.charCodeAt(i);
    if (unit < 0x20 || unit == 0x7f) return false;
    const isQuery = mark >= 0 && i > mark && (hash < 0 || i < hash) && (hash < 0 || mark < hash);
    if (unit == 0x25 && !isQuery && !(isHex(path, i + 1) && isHex(path, i + 2))) return false;
  }
  return true;
}

function isHex(text: string, at: i32): bool {
  if (at >= text.length) return false;
  const unit = text.charCodeAt(at);
  const lower = unit | 0x20;
  return (unit >= 0x30 && unit <= 0x39) || (lower >= 0x61 && lower <= 0x66);
}
