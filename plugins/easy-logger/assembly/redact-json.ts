import { bytesOf, parseJson } from "@wasmline/plugin-sdk/assembly";

/** What stands in the place of a value that nobody is to read. */
export const REDACTED = "[redacted]";

// A logged body may be cut anywhere or be broken, so that it is no JSON, and has to be redacted all the same. So the text is
// not parsed: every quotation mark may begin a name; where a colon stands behind that, what follows up to the member's end
// is its value.

/** No name of a field is longer, in characters as they are written. */
const MAX_NAME: i32 = 200;

/** Replaces the values of members with these names, which are in lower case. */
export function redactMembers(text: string, names: Set<string>): string {
  const parts: string[] = [];
  let kept = 0;
  let at = 0;
  while (at < text.length) {
    if (text.charCodeAt(at) != 0x22) {
      at++;
      continue;
    }
    const end = endOfString(text, at, at + MAX_NAME);
    const colon = skipSpace(text, end);
    if (colon >= text.length || text.charCodeAt(colon) != 0x3a || !isHidden(text, at, end, names)) {
      at++;
      continue;
    }
    const value = skipSpace(text, colon + 1);
    at = endOfValue(text, value);
    parts.push(text.substring(kept, value));
    parts.push('"' + REDACTED + '"');
    kept = at;
  }
  parts.push(text.substring(kept));
  return parts.join("");
}

function isHidden(text: string, start: i32, end: i32, names: Set<string>): bool {
  const written = text.substring(start + 1, end - 1);
  if (!written.includes("\\")) return names.has(written.toLowerCase());
  const name = parseJson(bytesOf(text.substring(start, end))).value;
  return name === null || names.has(name.text().toLowerCase());
}

/** Index behind the string that begins here, or `limit` if it does not end before. */
function endOfString(text: string, start: i32, limit: i32): i32 {
  const end = min(limit, text.length);
  let at = start + 1;
  while (at < end) {
    const unit = text.charCodeAt(at);
    if (unit == 0x22) return at + 1;
    at += unit == 0x5c ? 2 : 1;
  }
  return end;
}

/** Index behind the value that begins here: a string, a list or object with all that is in it, or a word. */
function endOfValue(text: string, start: i32): i32 {
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    if (unit == 0x22) {
      at = endOfString(text, at, text.length);
      if (depth == 0) return at;
      continue;
    }
    if (unit == 0x5b || unit == 0x7b) depth++;
    else if (unit == 0x5d || unit == 0x7d) {
      if (depth == 0) return at;
      depth--;
      if (depth == 0) return at + 1;
    } else if (unit == 0x2c && depth == 0) return at;
    at++;
  }
  return text.length;
}

function skipSpace(text: string, start: i32): i32 {
  let at = start;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    if (unit != 0x20 && unit != 0x09 && unit != 0x0a && unit != 0x0d) return at;
    at++;
  }
  return text.length;
}
