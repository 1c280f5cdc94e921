import { encodeText, textOf } from "./text";

/** One parameter of a query. */
export class QueryParameter {
  constructor(
    readonly name: string,
    readonly value: string,
  ) {}
}

/**
 * Parameters of a request path's query, decoded, in order. A pair with a broken escape or a semicolon in it is left
 * out.
 */
export function parseQuery(path: string): QueryParameter[] {
  const parameters: QueryParameter[] = [];
  const fragment = path.indexOf("#");
  const target = fragment < 0 ? path : path.substring(0, fragment);
  const mark = target.indexOf("?");
  if (mark < 0) return parameters;
  const pairs = target.substring(mark + 1).split("&");
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i];
    if (pair == "" || pair.includes(";")) continue;
    const at = pair.indexOf("=");
    const name = unescapeQuery(at < 0 ? pair : pair.substring(0, at));
    const value = at < 0 ? "" : unescapeQuery(pair.substring(at + 1));
    if (name !== null && value !== null) parameters.push(new QueryParameter(name, value));
  }
  return parameters;
}

/** Decodes `%XX` and `+`; null when an escape is broken. */
export function unescapeQuery(text: string): string | null {
  if (!text.includes("%") && !text.includes("+")) return text;
  const bytes = new ArrayBuffer(text.length * 3);
  const start = changetype<usize>(bytes);
  const end = start + encodeText(text, start);
  let to = start;
  for (let from = start; from < end; from++, to++) {
    const byte = load<u8>(from);
    if (byte != 0x25) {
      store<u8>(to, byte == 0x2b ? 0x20 : byte);
      continue;
    }
    const code = from + 2 < end ? hexPair(load<u8>(from + 1), load<u8>(from + 2)) : -1;
    if (code < 0) return null;
    store<u8>(to, code as u8);
    from += 2;
  }
  return textOf(bytes.slice(0, (to - start) as i32));
}

function hexPair(high: u8, low: u8): i32 {
  const first = hexValue(high);
  const second = hexValue(low);
  return first < 0 || second < 0 ? -1 : (first << 4) | second;
}

function hexValue(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return (byte as i32) - 0x30;
  const lower = (byte as i32) | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
