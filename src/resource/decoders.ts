import {
  type Cursor,
  type Decoder,
  type Decoders,
  enter,
  isObject,
  reportMismatch,
  reportMissing,
} from "./decoder.ts";
import type { JsonObject } from "./types.ts";

/** A JSON string; null stands for the empty one, as in Go. */
export const string: Decoder<string> = (value, at) => {
  if (typeof value === "string") return value;
  if (value === null) return "";
  const scalar = typeof value === "number" || typeof value === "boolean";
  return reportMismatch(at, "a string", value, scalar ? "put the value in quotes" : undefined);
};

export const bool: Decoder<boolean> = (value, at) => {
  if (typeof value === "boolean") return value;
  const quoted = value === "true" || value === "false";
  return reportMismatch(at, "true or false", value, quoted ? "leave the quotes out" : undefined);
};

export const int32: Decoder<number> = (value, at) => {
  // `| 0` makes the integer 0 of -0, too.
  if (typeof value === "number" && (value | 0) === value) return value | 0;
  return reportMismatch(at, "a whole number from -2147483648 to 2147483647", value);
};

/** A number or a name, as Kubernetes' IntOrString. */
export const intOrString: Decoder<number | string> = (value, at) => {
  if (typeof value === "string") return value;
  return int32(value, at);
};

/** Any JSON object, kept as it is. Numbers that JSON does not have are errors. */
export const struct: Decoder<JsonObject> = (value, at) => {
  if (!isObject(value)) return reportMismatch(at, "an object", value);
  return checkNumbers(value, at) ? value : undefined;
};

function checkNumbers(value: unknown, at: Cursor): boolean {
  if (typeof value === "number")
    return Number.isFinite(value) || (reportMismatch(at, "a number that JSON has", value) ?? false);
  if (typeof value !== "object" || value === null) return true;
  let fine = true;
  const inList = Array.isArray(value);
  for (const [key, element] of Object.entries(value))
    if (typeof element === "number" || typeof element === "object")
      fine = checkNumbers(element, enter(at, inList ? Number(key) : key)) && fine;
  return fine;
}

export function oneOf<T extends string>(...names: readonly T[]): Decoder<T> {
  return (value, at) => {
    const name = names.find((candidate) => candidate === value);
    return name ?? reportMismatch(at, `one of ${names.join(", ")}`, value);
  };
}

export function listOf<T>(element: Decoder<T>): Decoder<T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return reportMismatch(at, "a list", value);
    const elements: T[] = [];
    for (let index = 0; index < value.length; index++) {
      const decoded = element(value[index], enter(at, index));
      if (decoded !== undefined) elements.push(decoded);
    }
    return elements;
  };
}

export function mapOf<T>(element: Decoder<T>): Decoder<Record<string, T>> {
  return (value, at) => {
    if (!isObject(value)) return reportMismatch(at, "an object", value);
    const entries: [string, T][] = [];
    for (const [key, found] of Object.entries(value)) {
      const decoded = element(found, enter(at, key));
      if (decoded !== undefined) entries.push([key, decoded]);
    }
    return Object.fromEntries(entries);
  };
}

/** An object of a Kubernetes API: null means unset, other fields are none of ours, `required` ones must be there. */
export function record<T extends object>(
  fields: Decoders<T>,
  ...required: readonly (keyof T & string)[]
): Decoder<T> {
  const decoders = Object.entries<Decoder<unknown>>(fields);
  return (value, at) => {
    const found = value === null ? {} : value;
    if (!isObject(found)) return reportMismatch(at, "an object", value);
    const result: Record<string, unknown> = {};
    for (const [name, decode] of decoders) {
      const field = Object.hasOwn(found, name) ? found[name] : null;
      if (field === null && required.some((other) => other === name)) reportMissing(at, name);
      if (field === null) continue;
      const decoded = decode(field, enter(at, name));
      if (decoded !== undefined) result[name] = decoded;
    }
    return result as T;
  };
}
