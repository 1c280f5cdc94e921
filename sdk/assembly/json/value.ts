import { lowerCase } from "../ascii";
import { decodeText } from "../text";
import { formatNumber } from "./number";

/** What a JSON value is; Missing stands for a member that is not there. */
export enum JsonKind {
  Missing,
  Null,
  Bool,
  Number,
  String,
  Array,
  Object,
}

const noItems: JsonValue[] = [];

/**
 * A parsed JSON value. `get` never fails: what is not there is a value of kind Missing, so that
 * `json.get("a").get("b").text()` is "" when there is no a.
 */
export class JsonValue {
  /** Number, or 1 for true. */
  number: f64 = 0;
  private characters: string = "";
  private elements: JsonValue[] = noItems;
  private members: Map<string, JsonValue> | null = null;

  constructor(
    readonly kind: JsonKind,
    /** The JSON text, and where the value begins and ends in it. */
    readonly source: ArrayBuffer,
    readonly start: i32 = 0,
    readonly end: i32 = 0,
  ) {}

  static ofNumber(number: f64, source: ArrayBuffer, start: i32, end: i32): JsonValue {
    const value = new JsonValue(JsonKind.Number, source, start, end);
    value.number = number;
    return value;
  }

  static ofBool(is: bool, source: ArrayBuffer, start: i32, end: i32): JsonValue {
    const value = new JsonValue(JsonKind.Bool, source, start, end);
    value.number = is ? 1 : 0;
    return value;
  }

  static ofString(text: string, source: ArrayBuffer, start: i32, end: i32): JsonValue {
    const value = new JsonValue(JsonKind.String, source, start, end);
    value.characters = text;
    return value;
  }

  static ofArray(elements: JsonValue[], source: ArrayBuffer, start: i32, end: i32): JsonValue {
    const value = new JsonValue(JsonKind.Array, source, start, end);
    value.elements = elements;
    return value;
  }

  static ofObject(members: Map<string, JsonValue>, source: ArrayBuffer, start: i32, end: i32): JsonValue {
    const value = new JsonValue(JsonKind.Object, source, start, end);
    value.members = members;
    return value;
  }

  /** Whether the value is there; null is. */
  get exists(): bool {
    return this.kind != JsonKind.Missing;
  }

  get isObject(): bool {
    return this.kind == JsonKind.Object;
  }

  get isArray(): bool {
    return this.kind == JsonKind.Array;
  }

  get isString(): bool {
    return this.kind == JsonKind.String;
  }

  get isNumber(): bool {
    return this.kind == JsonKind.Number;
  }

  /** Whether the value is the boolean true, a number other than 0, or the text "true", "t" or "1" in any case. */
  get isTrue(): bool {
    if (this.kind != JsonKind.String) return this.number != 0;
    const text = lowerCase(this.characters);
    return text == "true" || text == "t" || text == "1";
  }

  /** Member of an object. The first one counts when a name is there twice. */
  get(name: string): JsonValue {
    const members = this.members;
    return members !== null && members.has(name) ? members.get(name) : missing;
  }

  /** Names of an object's members in the order of the text; none for other values. */
  names(): string[] {
    const members = this.members;
    return members === null ? [] : members.keys();
  }

  /** Elements of an array; none for null and what is missing; any other value is a list of itself. */
  list(): JsonValue[] {
    if (this.kind == JsonKind.Array) return this.elements;
    return this.kind <= JsonKind.Null ? noItems : [this];
  }

  /**
   * The value as text: a string's characters, "" for null and what is missing, an integer as it is written, another
   * number in decimal notation, the JSON text of arrays and objects.
   */
  text(): string {
    if (this.kind == JsonKind.String) return this.characters;
    if (this.kind <= JsonKind.Null) return "";
    if (this.kind != JsonKind.Number || this.isWrittenAsInteger()) return this.raw();
    return formatNumber(this.number);
  }

  /** The value as it stands in the JSON text. */
  raw(): string {
    return decodeText(changetype<usize>(this.source) + this.start, this.end - this.start);
  }

  private isWrittenAsInteger(): bool {
    const bytes = changetype<usize>(this.source);
    for (let i = this.start; i < this.end; i++) {
      const byte = load<u8>(bytes + i);
      if ((byte < 0x30 || byte > 0x39) && (byte != 0x2d || i > this.start)) return false;
    }
    return true;
  }
}

const missing = new JsonValue(JsonKind.Missing, new ArrayBuffer(0));

/** An object without members, as a configuration that was left out counts. */
export function emptyObject(): JsonValue {
  return JsonValue.ofObject(new Map<string, JsonValue>(), new ArrayBuffer(0), 0, 0);
}
