import { serializeMap } from "./header-map-codec.ts";

/** The value of a property before it is encoded for a guest. Strings are Latin-1, like everything that a guest sees as text. */
export type PropertyValue =
  | string
  | Uint8Array
  | boolean
  | { readonly int: bigint }
  | { readonly uint: bigint }
  | { readonly double: number }
  | { readonly timestampNs: bigint }
  | { readonly durationNs: bigint }
  | { readonly map: readonly (readonly [string, string])[] }
  | { readonly list: readonly string[] };

/**
 * Encodes a property as Envoy does: text and bytes as they are, a number or a time as 8 bytes, a boolean as one, a list as
 * a map without values. Integers wrap at 64 bits; all is little-endian.
 */
export function encodeProperty(value: PropertyValue): Uint8Array {
  if (typeof value === "string") return Buffer.from(value, "latin1");
  if (typeof value === "boolean") return Uint8Array.of(value ? 1 : 0);
  if (value instanceof Uint8Array) return value;
  if ("map" in value) return serializeMap(value.map);
  if ("list" in value) return serializeMap(value.list.map((item) => [item, ""]));
  return encodeNumber(value);
}

type NumberValue = Extract<
  PropertyValue,
  { int: bigint } | { uint: bigint } | { double: number } | { timestampNs: bigint } | { durationNs: bigint }
>;

function encodeNumber(value: NumberValue): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  if ("double" in value) view.setFloat64(0, value.double, true);
  else view.setBigInt64(0, integerOf(value), true);
  return bytes;
}

function integerOf(value: Exclude<NumberValue, { double: number }>): bigint {
  if ("int" in value) return value.int;
  if ("uint" in value) return value.uint;
  return "timestampNs" in value ? value.timestampNs : value.durationNs;
}
