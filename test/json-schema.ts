import { isDeepStrictEqual } from "node:util";

// What the plugins' schemas use of JSON Schema. A keyword that is not here is an error, so that none is passed over.

type Schema = { readonly [keyword: string]: unknown } | boolean;
type Check = (argument: never, value: unknown, at: string, schema: Record<string, unknown>) => string[];

/** Keywords that say nothing of a value. */
const notes = new Set(["$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples"]);

/** Says for each place of a value what its schema does not allow; an empty list for one that is valid. */
export function checkSchema(root: Schema, value: unknown): string[] {
  const checks: Readonly<Record<string, Check>> = {
    $ref: (pointer: string, found, at) => check(resolve(pointer), found, at),
    type: (types: string | string[], found, at) =>
      [types].flat().some((type) => isOfType(type, found))
        ? []
        : [`${at}: expected ${[types].flat().join(" or ")}`],
    enum: (values: unknown[], found, at) =>
      values.some((each) => isDeepStrictEqual(each, found))
        ? []
        : [`${at}: expected one of ${values.join(", ")}`],
    const: (only: unknown, found, at) =>
      isDeepStrictEqual(only, found) ? [] : [`${at}: expected ${String(only)}`],
    minimum: (least: number, found, at) =>
      refuse(typeof found === "number" && found < least, at, `at least ${least}`),
    maximum: (most: number, found, at) =>
      refuse(typeof found === "number" && found > most, at, `at most ${most}`),
    minLength: (least: number, found, at) =>
      refuse(typeof found === "string" && [...found].length < least, at, `at least ${least} characters`),
    pattern: (pattern: string, found, at) =>
      refuse(typeof found === "string" && !new RegExp(pattern, "u").test(found), at, pattern),
    minItems: (least: number, found, at) =>
      refuse(Array.isArray(found) && found.length < least, at, `${least} items`),
    maxItems: (most: number, found, at) =>
      refuse(Array.isArray(found) && found.length > most, at, `${most} items`),
    uniqueItems: (unique: boolean, found, at) => refuse(unique && hasTwice(found), at, "no item twice"),
    items: (items: Schema, found, at) =>
      Array.isArray(found) ? found.flatMap((each, index) => check(items, each, `${at}[${index}]`)) : [],
    properties: (properties: Record<string, Schema>, found, at) =>
      membersOf(found).flatMap(([name, each]) =>
        Object.hasOwn(properties, name) ? check(properties[name]!, each, `${at}.${name}`) : [],
      ),
    additionalProperties: (others: Schema, found, at, { properties = {} }) =>
      membersOf(found).flatMap(([name, each]) =>
        Object.hasOwn(properties as object, name) ? [] : check(others, each, `${at}.${name}`),
      ),
    required: (names: string[], found, at) =>
      names.flatMap((name) => refuse(isObject(found) && !Object.hasOwn(found, name), at, `a member ${name}`)),
    not: (inner: Schema, found, at) => refuse(check(inner, found, at).length === 0, at, "something else"),
    allOf: (all: Schema[], found, at) => all.flatMap((each) => check(each, found, at)),
    anyOf: (some: Schema[], found, at) => {
      const problems = some.map((each) => check(each, found, at));
      return problems.some((each) => each.length === 0) ? [] : problems.flat();
    },
    oneOf: (some: Schema[], found, at) => {
      const count = some.filter((each) => check(each, found, at).length === 0).length;
      return refuse(count !== 1, at, `one of ${some.length} forms, found ${count}`);
    },
  };
  return check(root, value, "");

  function check(schema: Schema, found: unknown, at: string): string[] {
    if (typeof schema === "boolean") return refuse(!schema, at, "nothing");
    return Object.entries(schema).flatMap(([keyword, argument]) => {
      if (notes.has(keyword)) return [];
      const rule = checks[keyword];
      if (!rule) throw new Error(`keyword ${keyword} of JSON Schema is not known here`);
      return rule(argument as never, found, at, schema);
    });
  }

  function resolve(pointer: string): Schema {
    let schema: unknown = root;
    for (const part of pointer.split("/").slice(1)) schema = (schema as Record<string, unknown>)[part];
    if (schema === undefined) throw new Error(`${pointer} leads nowhere`);
    return schema as Schema;
  }
}

function refuse(isWrong: boolean, at: string, expected: string): string[] {
  return isWrong ? [`${at}: expected ${expected}`] : [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function membersOf(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}

function hasTwice(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  return value.some((each, index) => value.slice(0, index).some((one) => isDeepStrictEqual(one, each)));
}

function isOfType(type: string, value: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  return type === "integer" ? Number.isInteger(value) : typeof value === type;
}
