import { decodeText } from "../text";
import { parseDecimal } from "./decimal";
import { JsonValue, JsonKind } from "./value";

/** Arrays and objects may be nested this deep. */
export const MAX_JSON_DEPTH: i32 = 128;

/** A text may have this many bytes; what is made of it takes several times as much. */
export const MAX_JSON_SIZE: i32 = 64 * 1024 * 1024;

/** Outcome of parsing: the value, or what is wrong and where. */
export class JsonResult {
  constructor(
    readonly value: JsonValue | null,
    /** `line:column: expected …, found …`; "" when there is a value. */
    readonly error: string,
  ) {}
}

/** Parses a JSON text (RFC 8259) in UTF-8. */
export function parseJson(source: ArrayBuffer): JsonResult {
  if (source.byteLength > MAX_JSON_SIZE) {
    return new JsonResult(null, `1:1: expected at most ${MAX_JSON_SIZE} bytes, found ${source.byteLength}`);
  }
  const parser = new JsonParser(source);
  const value = parser.parse();
  return value === null ? new JsonResult(null, parser.error) : new JsonResult(value, "");
}

class JsonParser {
  error: string = "";
  private at: i32 = 0;
  private depth: i32 = 0;
  private size: i32;
  private base: usize;

  constructor(private source: ArrayBuffer) {
    this.size = source.byteLength;
    this.base = changetype<usize>(source);
  }

  parse(): JsonValue | null {
    this.skipSpace();
    const value = this.parseValue();
    if (value === null) return null;
    this.skipSpace();
    return this.at < this.size ? this.fail("the end of the text") : value;
  }

  private parseValue(): JsonValue | null {
    const byte = this.peek();
    if (byte == 0x7b) return this.parseObject();
    if (byte == 0x5b) return this.parseArray();
    if (byte == 0x22) {
      const start = this.at;
      const text = this.parseString();
      return text === null ? null : JsonValue.ofString(text, this.source, start, this.at);
    }
    if (byte == 0x2d || isDigit(byte)) return this.parseNumber();
    return this.parseWord();
  }

  private parseObject(): JsonValue | null {
    const start = this.at;
    if (!this.enter()) return null;
    const members = new Map<string, JsonValue>();
    if (!this.eat(0x7d)) {
      do {
        this.skipSpace();
        if (this.peek() != 0x22) return this.fail("a member's name in double quotes");
        const name = this.parseString();
        if (name === null) return null;
        this.skipSpace();
        if (!this.eat(0x3a)) return this.fail("':' after a member's name");
        this.skipSpace();
        const value = this.parseValue();
        if (value === null) return null;
        if (!members.has(name)) members.set(name, value);
        this.skipSpace();
      } while (this.eat(0x2c));
      if (!this.eat(0x7d)) return this.fail("',' or '}' after a member");
    }
    this.depth--;
    return JsonValue.ofObject(members, this.source, start, this.at);
  }

  private parseArray(): JsonValue | null {
    const start = this.at;
    if (!this.enter()) return null;
    const elements: JsonValue[] = [];
    if (!this.eat(0x5d)) {
      do {
        this.skipSpace();
        const value = this.parseValue();
        if (value === null) return null;
        elements.push(value);
        this.skipSpace();
      } while (this.eat(0x2c));
      if (!this.eat(0x5d)) return this.fail("',' or ']' after an element");
    }
    this.depth--;
    return JsonValue.ofArray(elements, this.source, start, this.at);
  }

  private enter(): bool {
    if (++this.depth > MAX_JSON_DEPTH) {
      this.error = `${this.position()}: nested deeper than ${MAX_JSON_DEPTH} levels`;
      return false;
    }
    this.at++;
    this.skipSpace();
    return true;
  }

  private parseString(): string | null {
    const start = ++this.at;
    let text = "";
    let kept = start;
    while (this.at < this.size) {
      const byte = this.peek();
      if (byte == 0x22) {
        const rest = this.slice(kept, this.at++);
        return kept == start ? rest : text + rest;
      }
      if (byte < 0x20) return this.failText("a control character to be written as an escape");
      if (byte != 0x5c) {
        this.at++;
        continue;
      }
      text += this.slice(kept, this.at++);
      const unit = this.parseEscape();
      if (unit < 0) return null;
      text += String.fromCharCode(unit);
      kept = this.at;
    }
    return this.failText("'\"' at the end of a string");
  }

  /** Code unit of the escape after a backslash, or -1. A pair of \u escapes comes out as its two surrogates. */
  private parseEscape(): i32 {
    const byte = this.peek();
    if (byte == 0x75) return this.parseHex();
    const unit = unescape(byte);
    if (unit < 0) {
      this.failText('one of " \\ / b f n r t u after a backslash');
      return -1;
    }
    this.at++;
    return unit;
  }

  private parseHex(): i32 {
    let unit = 0;
    this.at++;
    for (let i = 0; i < 4; i++) {
      const digit = hexDigit(this.peek());
      if (digit < 0) {
        this.failText("four hexadecimal digits after \\u");
        return -1;
      }
      unit = (unit << 4) | digit;
      this.at++;
    }
    return unit;
  }

  private parseNumber(): JsonValue | null {
    const start = this.at;
    this.eat(0x2d);
    if (!this.eat(0x30) && !this.skipDigits()) return this.fail("a digit");
    if (this.eat(0x2e) && !this.skipDigits()) return this.fail("a digit after the decimal point");
    if (this.eat(0x65) || this.eat(0x45)) {
      if (!this.eat(0x2b)) this.eat(0x2d);
      if (!this.skipDigits()) return this.fail("a digit in the exponent");
    }
    const number = parseDecimal(this.base + start, this.base + this.at);
    return JsonValue.ofNumber(number, this.source, start, this.at);
  }

  private skipDigits(): bool {
    const start = this.at;
    while (isDigit(this.peek())) this.at++;
    return this.at > start;
  }

  private parseWord(): JsonValue | null {
    const start = this.at;
    if (this.eatWord("true")) return JsonValue.ofBool(true, this.source, start, this.at);
    if (this.eatWord("false")) return JsonValue.ofBool(false, this.source, start, this.at);
    if (this.eatWord("null")) return new JsonValue(JsonKind.Null, this.source, start, this.at);
    return this.fail("a JSON value");
  }

  private eatWord(word: string): bool {
    for (let i = 0; i < word.length; i++) {
      if (this.at + i >= this.size || load<u8>(this.base + this.at + i) != word.charCodeAt(i)) return false;
    }
    this.at += word.length;
    return true;
  }

  private skipSpace(): void {
    while (this.at < this.size) {
      const byte = load<u8>(this.base + this.at);
      if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return;
      this.at++;
    }
  }

  /** The byte at the current position, or -1 at the end. */
  private peek(): i32 {
    return this.at < this.size ? (load<u8>(this.base + this.at) as i32) : -1;
  }

  private eat(byte: i32): bool {
    if (this.peek() != byte) return false;
    this.at++;
    return true;
  }

  private slice(start: i32, end: i32): string {
    return decodeText(this.base + start, end - start);
  }

  private fail(expected: string): JsonValue | null {
    this.error = `${this.position()}: expected ${expected}, found ${this.found()}`;
    return null;
  }

  private failText(expected: string): string | null {
    this.fail(expected);
    return null;
  }

  private found(): string {
    const byte = this.peek();
    if (byte < 0) return "the end of the text";
    if (byte < 0x20 || byte == 0x7f) return `the control character ${byte}`;
    let end = this.at + 1;
    while (end < this.size && (load<u8>(this.base + end) & 0xc0) == 0x80) end++;
    return "'" + this.slice(this.at, end) + "'";
  }

  /** Line and column of the current position, both from 1; a column is one character. */
  private position(): string {
    let line = 1;
    let column = 1;
    for (let i = 0; i < this.at; i++) {
      const byte = load<u8>(this.base + i);
      if (byte == 0x0a) {
        line++;
        column = 1;
      } else if ((byte & 0xc0) != 0x80) {
        column++;
      }
    }
    return `${line}:${column}`;
  }
}

function isDigit(byte: i32): bool {
  return byte >= 0x30 && byte <= 0x39;
}

function hexDigit(byte: i32): i32 {
  if (isDigit(byte)) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function unescape(byte: i32): i32 {
  if (byte == 0x22 || byte == 0x5c || byte == 0x2f) return byte;
  if (byte == 0x62) return 0x08;
  if (byte == 0x66) return 0x0c;
  if (byte == 0x6e) return 0x0a;
  if (byte == 0x72) return 0x0d;
  return byte == 0x74 ? 0x09 : -1;
}
