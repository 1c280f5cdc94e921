import {
  type Cursor,
  type Decoder,
  type Decoders,
  enter,
  isObject,
  pathOf,
  reportMismatch,
} from "./decoder.ts";
import { int32 } from "./decoders.ts";
import { nearest } from "./nearest.ts";

// Messages are decoded as golang/protobuf's jsonpb does it with AllowUnknownFields, which is what the reference uses.

/**
 * A protobuf message: fields by their camelCase or snake_case names (camelCase wins), null means unset, null in the place
 * of the message is an empty one. Unknown fields are warned of and otherwise ignored. `empty` has the fields that are
 * always set, `explain` may give a hint for an unknown field.
 */
export function message<T extends object>(
  fields: Decoders<T>,
  empty: T,
  explain: (unknown: string) => string | undefined = () => undefined,
): Decoder<T> {
  const decoders = new Map(Object.entries<Decoder<unknown>>(fields));
  const names = new Map(
    [...decoders.keys()].flatMap((name) => [
      [snakeCase(name), name],
      [name, name],
    ]),
  );
  return (value, at) => {
    if (value === null) return empty;
    if (!isObject(value)) return reportMismatch(at, "an object", value);
    const result: Record<string, unknown> = { ...(empty as object) };
    for (const key of Object.keys(value)) {
      const name = names.get(key);
      if (name === undefined) warnUnknown(enter(at, key), key, decoders.keys(), explain(key));
      else if (value[key] !== null && (key === name || !Object.hasOwn(value, name)))
        result[name] = decoders.get(name)!(value[key], enter(at, key)) ?? result[name];
    }
    return result as T;
  };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Warns of a field that nothing reads. `known` are the names that would be read in its place. */
export function warnUnknown(at: Cursor, field: string, known: Iterable<string>, explanation?: string): void {
  const meant = nearest(field, known);
  at.problems.push({
    severity: "warning",
    code: "UNKNOWN_FIELD",
    message: `unknown field ${JSON.stringify(field)} is ignored`,
    path: pathOf(at),
    place: "key",
    hint: explanation ?? (meant && `did you mean ${JSON.stringify(meant)}?`),
  });
}

/** An enum by exact name, or by any number: the reference lets unknown numbers pass. */
export function enumOf(values: Readonly<Record<string, number>>): Decoder<number> {
  const names = Object.keys(values);
  return (value, at) => {
    if (typeof value === "string" && Object.hasOwn(values, value)) return values[value];
    if (typeof value === "number") return int32(value, at);
    const meant = typeof value === "string" ? nearest(value, names) : undefined;
    return reportMismatch(at, `one of ${names.join(", ")}`, value, meant && `did you mean ${meant}?`);
  };
}

/** An int32 as a number or as a number in quotes. */
export const quotableInt32: Decoder<number> = (value, at) => {
  if (typeof value !== "string") return int32(value, at);
  const text = value.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
  // The reference takes the quotes off and reads what is left as JSON, where null leaves the 0 that it finds.
  if (text === "null") return 0;
  const number = /^-?(?:0|[1-9]\d*)$/.test(text) ? Number(text) : Number.NaN;
  if ((number | 0) === number) return number | 0;
  return reportMismatch(at, "a whole number from -2147483648 to 2147483647", value);
};
