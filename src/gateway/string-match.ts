import type { RegexMatcher } from "../gen/envoy/type/matcher/v3/regex_pb.ts";
import type { StringMatcher } from "../gen/envoy/type/matcher/v3/string_pb.ts";
import { refuse, within } from "./refused-config.ts";
import { compileRegex, toHeader } from "./regex.ts";

/** Whether a text is meant. */
export type TextTest = (text: string) => boolean;

/** Compiles Envoy's StringMatcher. `ignore_case` is of ASCII and says nothing about expressions. */
export function compileStringMatcher({ matchPattern, ignoreCase }: StringMatcher): TextTest {
  if (matchPattern.case === "safeRegex")
    return within("safe_regex", () => compileRegexMatcher(matchPattern.value));
  const { case: kind, value } = matchPattern;
  if (kind !== "exact" && kind !== "prefix" && kind !== "suffix" && kind !== "contains")
    return refuse("match_pattern", kind === undefined ? "is required" : `${kind} is not supported`);
  if (value === "" && kind !== "exact") refuse(kind, "value length must be at least 1 characters");
  return textTest(kind, value, ignoreCase);
}

export function compileRegexMatcher({ regex }: RegexMatcher): TextTest {
  const compiled = compileRegex(regex);
  return (text) => compiled.test(text);
}

/** Compares by a literal. */
export function textTest(
  kind: "exact" | "prefix" | "suffix" | "contains",
  value: string,
  ignoreCase = false,
): TextTest {
  const plain = tests[kind];
  if (!ignoreCase) {
    const literal = toHeader(value);
    return (text) => plain(text, literal);
  }
  const literal = lowerAscii(toHeader(value));
  return (text) => plain(lowerAscii(text), literal);
}

const tests: Readonly<Record<string, (text: string, literal: string) => boolean>> & {
  readonly [kind in "exact" | "prefix" | "suffix" | "contains"]: (text: string, literal: string) => boolean;
} = {
  exact: (text, literal) => text === literal,
  prefix: (text, literal) => text.startsWith(literal),
  suffix: (text, literal) => text.endsWith(literal),
  contains: (text, literal) => text.includes(literal),
};

/** Lower case of ASCII letters only: the bytes of UTF-8 stay as they are. */
export function lowerAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text;
}
