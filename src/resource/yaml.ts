import {
  boolYaml11Tag,
  defineMappingTag,
  defineScalarTag,
  FAILSAFE_SCHEMA,
  load,
  mapTag,
  mergeTag,
  NOT_RESOLVED,
  nullYaml11Tag,
  type Schema,
  YAMLException,
} from "js-yaml";

/** The deepest nesting that a document may have, aliases followed. */
export const maxDepth = 100;
const maxMergeKeys = 100_000;

const integer = /^[-+]?(?:0b[01]+|0o?[0-7]+|0x[\da-f]+|0|[1-9]\d*)$/i;
const float = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:e[-+]?\d+)?$/i;
const special: ReadonlyMap<string, number> = new Map([
  [".nan", Number.NaN],
  [".inf", Number.POSITIVE_INFINITY],
  ["+.inf", Number.POSITIVE_INFINITY],
  ["-.inf", Number.NEGATIVE_INFINITY],
]);

/**
 * A number as kubectl reads a plain scalar: the integers of YAML 1.1 (0644 is octal) and of 1.2 (0o644), underscores left
 * out, no base 60. Undefined for what is none.
 */
function parseNumber(source: string): number | undefined {
  const named = special.get(source.toLowerCase());
  if (named !== undefined) return named;
  const plain = source.startsWith(".") ? source : source.replaceAll("_", "");
  if (integer.test(plain)) return parseInteger(plain);
  if (!float.test(plain)) return undefined;
  const value = Number(plain);
  return Number.isFinite(value) ? value : undefined;
}

function parseInteger(plain: string): number {
  const digits = plain.replace(/^[-+]/, "");
  const octal = /^0[0-7]+$/.test(digits);
  const value = Number(octal ? `0o${digits}` : digits);
  return plain.startsWith("-") && value !== 0 ? -value : value;
}

function numberTag(name: "int" | "float") {
  return defineScalarTag<number>(`tag:yaml.org,2002:${name}`, {
    // One implicit tag recognises both: JSON has one kind of number.
    implicit: name === "int",
    implicitFirstChars: ["-", "+", ".", ..."0123456789"],
    resolve: (source) => parseNumber(source) ?? NOT_RESOLVED,
    identify: () => false,
  });
}

const objectTag = defineMappingTag<Record<string, unknown>>("tag:yaml.org,2002:map", {
  ...mapTag,
  finalize: undefined,
  addPair: (carrier, key, value) => (key === null ? "null is no key" : mapTag.addPair(carrier, key, value)),
});

/** YAML as kubectl reads it: 1.1 booleans and octal numbers, merge keys; timestamps stay strings. */
const kubernetesSchema: Schema = FAILSAFE_SCHEMA.withTags(
  nullYaml11Tag,
  boolYaml11Tag,
  numberTag("int"),
  numberTag("float"),
  mergeTag,
  objectTag,
);

/** A YAML document that cannot be read. `line` and `column` count from 1 within the document. */
export interface SyntaxProblem {
  readonly reason: string;
  readonly line: number;
  readonly column: number;
}

/** Reads the one document in `text`, JSON included. What is not YAML comes back as a problem; nothing is thrown. */
export function loadYaml(text: string): { readonly value: unknown } | { readonly problem: SyntaxProblem } {
  try {
    return { value: load(text, { schema: kubernetesSchema, maxDepth, maxTotalMergeKeys: maxMergeKeys }) };
  } catch (error) {
    const duplicate = error instanceof YAMLException && error.reason.startsWith("duplicated");
    const json = duplicate ? undefined : parseJson(text);
    return json ?? { problem: syntaxProblem(error) };
  }
}

/** JSON that is no YAML: indented by tabs, or with keys longer than YAML takes. */
function parseJson(text: string): { value: unknown } | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

// The exception's message quotes lines of the document, which may hold secrets; its reason does not.
function syntaxProblem(error: unknown): SyntaxProblem {
  if (!(error instanceof YAMLException)) return { reason: "cannot be read as YAML", line: 1, column: 1 };
  const { reason, mark } = error;
  return { reason, line: (mark?.line ?? 0) + 1, column: (mark?.column ?? 0) + 1 };
}
