import {
  type DescField,
  type DescMessage,
  isFieldSet,
  isMessage,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";

/**
 * Istio's JSON form of a spec, to the byte: fields in the order of their declaration, defaults left out, keys of maps
 * and structs sorted, no spaces, Go's escapes. Mirrors golang/protobuf's jsonpb as Istio's debug pages use it.
 */
export function specJson(schema: DescMessage, message: Message): string {
  return messageJson(schema, message);
}

/**
 * A configuration as a Wasm filter gets it: compact JSON with sorted keys (byte order) and `<`, `>`, `&`, U+2028 and
 * U+2029 escaped. Numbers are doubles as JavaScript writes them, but for `-0`.
 */
export function structJson(value: unknown): string {
  switch (typeof value) {
    case "string":
      return stringJson(value);
    case "number":
      return numberJson(value);
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? `[${value.map(structJson).join(",")}]` : objectJson(value);
    default:
      return String(value);
  }
}

function objectJson(object: object): string {
  // Keys that are the same to Go are one: the last has it.
  const byName = new Map(Object.entries(object).map(([key, value]) => [wellFormed(key), value]));
  const entries = [...byName].sort(byKey);
  return `{${entries.map(([key, value]) => `${stringJson(key)}:${structJson(value)}`).join(",")}}`;
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return compareCodePoints(a, b);
}

/** Compares as Go does, by the bytes of UTF-8: that is by code points, where JavaScript compares UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) {
    if (a.charCodeAt(i) !== b.charCodeAt(i)) return (a.codePointAt(i) ?? 0) - (b.codePointAt(i) ?? 0);
  }
  return a.length - b.length;
}

const goEscapes = /[<>&\u2028\u2029]/g;
const anyEscape = /[^\x20-\x7e]|[<>&]/;

function stringJson(text: string): string {
  const json = JSON.stringify(text);
  // Nearly all strings are plain: one test is cheaper than making them well formed and replacing.
  if (!anyEscape.test(text)) return json;
  return JSON.stringify(wellFormed(text)).replace(goEscapes, escapeUnit);
}

/** Go reads a lone surrogate as U+FFFD. */
function wellFormed(text: string): string {
  if (!/[\ud800-\udfff]/.test(text)) return text;
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

function escapeUnit(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function numberJson(value: number): string {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) ? String(value) : JSON.stringify(String(value));
}

function messageJson(schema: DescMessage, message: Message): string {
  const known = wellKnownJson(schema, message);
  if (known !== undefined) return known;
  const parts = schema.fields
    .filter((field) => isFieldSet(message, field))
    .map((field) => `"${field.jsonName}":${fieldJson(field, fieldValue(message, field))}`);
  return `{${parts.join(",")}}`;
}

function wellKnownJson(schema: DescMessage, message: Message): string | undefined {
  if (schema.typeName !== "google.protobuf.Duration") return undefined;
  const { seconds, nanos } = message as Duration;
  const sign = seconds < 0n || nanos < 0 ? "-" : "";
  // No fraction, or one of 3, 6 or 9 digits.
  const fraction = `.${String(Math.abs(nanos)).padStart(9, "0")}`.replace(/(000)+$/, "").replace(/\.$/, "");
  return `"${sign}${seconds < 0n ? -seconds : seconds}${fraction}s"`;
}

function fieldValue(message: Message, field: DescField): unknown {
  const fields = message as unknown as Record<string, { value?: unknown }>;
  return field.oneof ? fields[field.oneof.localName]?.value : fields[field.localName];
}

function fieldJson(field: DescField, value: unknown): string {
  if (field.fieldKind === "list")
    return `[${(value as unknown[]).map((item) => elementJson(field, item)).join(",")}]`;
  if (field.fieldKind !== "map") return elementJson(field, value);
  const entries = Object.entries(value as object).sort(byKey);
  return `{${entries.map(([key, item]) => `${stringJson(key)}:${elementJson(field, item)}`).join(",")}}`;
}

function elementJson(field: DescField, value: unknown): string {
  if (field.scalar === ScalarType.BYTES) return `"${Buffer.from(value as Uint8Array).toString("base64")}"`;
  if (typeof value === "bigint") return `"${value}"`;
  if (field.enum) {
    const name = field.enum.value[value as number]?.name;
    return name === undefined ? String(value) : `"${name}"`;
  }
  // Structs and wrappers are plain values in a message, whatever keys a struct has.
  const plain = field.message?.typeName === "google.protobuf.Struct" || !isMessage(value);
  return plain ? structJson(value) : messageJson(field.message!, value);
}

/** Indents compact JSON as Go's json.Indent does, without touching a value. */
export function indentJson(compact: string, indent: string): string {
  let depth = 0;
  const newline = () => `\n${indent.repeat(depth)}`;
  return compact.replace(/"(?:[^"\\]|\\.)*"|\{\}|\[\]|[{}[\],:]/g, (token) => {
    switch (token) {
      case "{":
      case "[":
        depth++;
        return token + newline();
      case "}":
      case "]":
        depth--;
        return newline() + token;
      case ",":
        return token + newline();
      case ":":
        return ": ";
      default:
        return token;
    }
  });
}
