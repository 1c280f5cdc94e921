import type { Diagnostic, FieldPath } from "./diagnostic.ts";
import type { JsonObject } from "./types.ts";

/** A diagnostic before its place in a file is known. */
export interface Problem extends Omit<Diagnostic, "at"> {
  readonly path: FieldPath;
  /** What the place is of: the field's value (the default) or its name. */
  readonly place?: "value" | "key";
}

/** Where decoding stands within a resource, and where problems go. */
export interface Cursor {
  readonly parent?: Cursor;
  readonly key?: string | number;
  /** Values found here never appear in messages. */
  readonly secret?: boolean;
  readonly problems: Problem[];
}

/** Turns any JSON value into a T. What is wrong goes to the cursor's problems, and the result is undefined. */
export type Decoder<T> = (value: unknown, at: Cursor) => T | undefined;

/** A decoder for each field of T. */
export type Decoders<T> = { readonly [K in keyof T]-?: Decoder<Exclude<T[K], undefined>> };

export function enter(at: Cursor, key: string | number): Cursor {
  return { parent: at, key, secret: at.secret, problems: at.problems };
}

export function pathOf(at: Cursor): (string | number)[] {
  const path: (string | number)[] = [];
  for (let cursor: Cursor | undefined = at; cursor?.key !== undefined; cursor = cursor.parent)
    path.push(cursor.key);
  return path.reverse();
}

/** Reports a value that is not what was expected. */
export function reportMismatch(at: Cursor, expected: string, found: unknown, hint?: string): undefined {
  const message = `expected ${expected}, found ${at.secret ? kindOf(found) : describe(found)}`;
  at.problems.push({ severity: "error", code: "INVALID_VALUE", message, path: pathOf(at), hint });
}

export function reportMissing(at: Cursor, field: string, hint?: string): undefined {
  const path = pathOf(enter(at, field));
  at.problems.push({ severity: "error", code: "MISSING_FIELD", message: `${field} is missing`, path, hint });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A found value, for a message: short, and with its kind where that is the point. */
function describe(value: unknown): string {
  if (typeof value === "string") return `the string ${JSON.stringify(shorten(value))}`;
  if (typeof value === "number") return `the number ${value}`;
  if (typeof value === "boolean") return String(value);
  return kindOf(value);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
