import { RE2JS } from "re2js";
import { refuse } from "./refused-config.ts";

/** A regular expression of RE2: matching takes time linear in the text, whatever the expression. */
export interface Regex {
  /** Whether all of a text matches. */
  test(text: string): boolean;
  /** Every match replaced; in the substitution `\1` is what the first group took, `\0` the match. */
  replacer(substitution: string): (text: string) => string;
}

/** Longer ones are refused, before anything is compiled. */
const maxSourceLength = 16_384;

/** Compiles an expression. Header values are Latin-1 here and are read as the UTF-8 that they are. */
export function compileRegex(source: string): Regex {
  if (source === "") refuse("regex", "value length must be at least 1 characters");
  if (source.length > maxSourceLength) refuse("regex", `longer than ${maxSourceLength} characters`);
  const compiled = compile(source);
  return {
    test: (text) => compiled.matches(fromHeader(text)),
    replacer: (substitution) => {
      const replacement = javaReplacement(substitution, compiled.groupCount());
      return (text) => toHeader(compiled.matcher(fromHeader(text)).replaceAll(replacement));
    },
  };
}

function compile(source: string): RE2JS {
  try {
    return RE2JS.compile(source);
  } catch (error) {
    return refuse("regex", error instanceof Error ? error.message : String(error));
  }
}

/** RE2's substitution in the form that the library takes, which has `$1` for `\1`. */
function javaReplacement(substitution: string, groups: number): string {
  return substitution.replaceAll(/\\([0-9\\])|\\|\$/g, (found, escaped: string | undefined) => {
    if (found === "$") return "\\$";
    if (escaped === undefined)
      return refuse("substitution", "invalid escape: a backslash precedes a digit or another backslash");
    if (escaped === "\\") return "\\\\";
    if (Number(escaped) > groups)
      return refuse("substitution", `\\${escaped} is not a group of the expression`);
    return `\${${escaped}}`;
  });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
const ascii = /^[\x00-\x7f]*$/;

/** Text of a configuration as headers hold it: a character is a byte. */
export function toHeader(text: string): string {
  return ascii.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

function fromHeader(text: string): string {
  return ascii.test(text) ? text : Buffer.from(text, "latin1").toString("utf8");
}
