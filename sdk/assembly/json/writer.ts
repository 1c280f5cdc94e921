import { JsonKind, JsonValue } from "./value";

/** Compact JSON text of a value. */
export function writeJson(value: JsonValue): string {
  switch (value.kind) {
    case JsonKind.String:
      return quoteJson(value.text());
    case JsonKind.Array:
      return (
        "[" +
        value
          .list()
          .map<string>((item) => writeJson(item))
          .join(",") +
        "]"
      );
    case JsonKind.Object:
      return writeObject(value);
    case JsonKind.Missing:
    case JsonKind.Null:
      return "null";
    default:
      return value.raw();
  }
}

function writeObject(value: JsonValue): string {
  const names = value.names();
  const members: string[] = [];
  for (let i = 0; i < names.length; i++) {
    members.push(quoteJson(names[i]) + ":" + writeJson(value.get(names[i])));
  }
  return "{" + members.join(",") + "}";
}

/** JSON string of a text, with its quotes. */
export function quoteJson(text: string): string {
  let result = '"';
  let kept = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const isLone = isLoneSurrogate(text, i);
    if (unit >= 0x20 && unit != 0x22 && unit != 0x5c && !isLone) continue;
    result += text.substring(kept, i) + escapeUnit(unit);
    kept = i + 1;
  }
  return result + text.substring(kept) + '"';
}

function escapeUnit(unit: i32): string {
  if (unit == 0x22) return '\\"';
  if (unit == 0x5c) return "\\\\";
  if (unit == 0x0a) return "\\n";
  if (unit == 0x0d) return "\\r";
  if (unit == 0x09) return "\\t";
  return "\\u" + unit.toString(16).padStart(4, "0");
}

function isLoneSurrogate(text: string, at: i32): bool {
  const kind = text.charCodeAt(at) & 0xfc00;
  if (kind == 0xd800) return at + 1 >= text.length || (text.charCodeAt(at + 1) & 0xfc00) != 0xdc00;
  return kind == 0xdc00 && (at == 0 || (text.charCodeAt(at - 1) & 0xfc00) != 0xd800);
}
