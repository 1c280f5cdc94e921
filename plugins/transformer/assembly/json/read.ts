import { JsonValue, parseJson, textOf } from "@wasmline/plugin-sdk/assembly";
import { JsonText } from "./edit";
import { JsonPath } from "./path";

/** The value at a path as text; "" when there is none. */
export function jsonTextAt(json: ArrayBuffer, path: JsonPath): string {
  const found = new JsonText(json).find(path);
  if (found === null) return "";
  const value = parseJson(found).value;
  return value === null ? textOf(found) : value.text();
}

/** A value as it is written, parsed; null for one that is nested too deep. */
export function parseValue(json: ArrayBuffer): JsonValue | null {
  return parseJson(json).value;
}
