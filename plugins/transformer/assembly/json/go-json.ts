import { JsonKind, JsonValue } from "@wasmline/plugin-sdk/assembly";

const EXACT: f64 = 9007199254740992;

/** A text as sjson writes it: HTML is escaped only where something else has to be as well. */
export function quoteGo(text: string): string {
  return needsMarshal(text) ? marshalText(text) : '"' + text + '"';
}

/**
 * A value as Go writes it after it has read it: names in order, HTML escaped, numbers as doubles.
 * Unlike Go: with `keepsIntegers` an integer that a double cannot hold stays as it is written.
 */
export function marshalValue(value: JsonValue, keepsIntegers: bool): string {
  switch (value.kind) {
    case JsonKind.String:
      return marshalText(value.text());
    case JsonKind.Number:
      return marshalNumber(value, keepsIntegers);
    case JsonKind.Array: {
      const items: string[] = [];
      const list = value.list();
      for (let i = 0; i < list.length; i++) items.push(marshalValue(list[i], keepsIntegers));
      return "[" + items.join(",") + "]";
    }
    case JsonKind.Object: {
      const members: string[] = [];
      const names = value.names().sort();
      for (let i = 0; i < names.length; i++)
        members.push(marshalText(names[i]) + ":" + marshalValue(value.get(names[i]), keepsIntegers));
      return "{" + members.join(",") + "}";
    }
    case JsonKind.Missing:
      return "null";
    default:
      return value.raw();
  }
}

/** A value as sjson sets it: as `marshalValue`, but for texts and numbers that are not inside an array or object. */
export function setValueText(value: JsonValue, keepsIntegers: bool): string {
  if (value.isString) return quoteGo(value.text());
  if (!value.isNumber || isKept(value, keepsIntegers)) return marshalValue(value, keepsIntegers);
  return formatPlain(value.number);
}

/** Texts as a JSON array. */
export function marshalTexts(texts: string[]): string {
  return "[" + texts.map<string>((text) => marshalText(text)).join(",") + "]";
}

function marshalNumber(value: JsonValue, keepsIntegers: bool): string {
  if (isKept(value, keepsIntegers)) return value.raw();
  const text = value.number.toString();
  return text.endsWith(".0") ? text.substring(0, text.length - 2) : text;
}

function isKept(value: JsonValue, keepsIntegers: bool): bool {
  return keepsIntegers && abs(value.number) >= EXACT;
}

/** A number without exponent. */
function formatPlain(number: f64): string {
  return JsonValue.ofNumber(number, dot, 0, 1).text();
}

// What is not written as an integer is text in decimal notation.
const dot = new ArrayBuffer(1);

function needsMarshal(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 || unit > 0x7f || unit == 0x22 || unit == 0x5c) return true;
  }
  return false;
}

/** A JSON string as Go's json.Marshal writes it. */
function marshalText(text: string): string {
  let result = '"';
  let kept = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isHighOfPair(text, i)) {
      i++;
      continue;
    }
    const escape = escapeOf(unit);
    if (escape == "") continue;
    result += text.substring(kept, i) + escape;
    kept = i + 1;
  }
  return result + text.substring(kept) + '"';
}

function isHighOfPair(text: string, at: i32): bool {
  if ((text.charCodeAt(at) & 0xfc00) != 0xd800 || at + 1 >= text.length) return false;
  return (text.charCodeAt(at + 1) & 0xfc00) == 0xdc00;
}

/** What stands for a code unit that is not written as it is; "" for one that is. */
function escapeOf(unit: i32): string {
  if (unit == 0x22) return '\\"';
  if (unit == 0x5c) return "\\\\";
  if (unit == 0x08) return "\\b";
  if (unit == 0x0c) return "\\f";
  if (unit == 0x0a) return "\\n";
  if (unit == 0x0d) return "\\r";
  if (unit == 0x09) return "\\t";
  if (unit < 0x20 || unit == 0x3c || unit == 0x3e || unit == 0x26 || unit == 0x2028 || unit == 0x2029)
    return "\\u" + unit.toString(16).padStart(4, "0");
  return (unit & 0xf800) == 0xd800 ? "\\ufffd" : "";
}
