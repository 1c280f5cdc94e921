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
      const parts = readSubstitution(substitution, compiled.groupCount());
      return (text) => {
        const characters = fromHeader(text);
        return toHeader(replaceAll(compiled.matcher(characters), characters, parts));
      };
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

type Matcher = ReturnType<RE2JS["matcher"]>;

/** A substitution, taken apart: text, and numbers of groups. */
function readSubstitution(substitution: string, groups: number): (string | number)[] {
  const parts: (string | number)[] = [];
  for (const [found] of substitution.matchAll(/\\[\s\S]?|[^\\]+/g)) {
    if (!found.startsWith("\\")) parts.push(found);
    else if (found === "\\\\") parts.push("\\");
    else if (!/^\\[0-9]$/.test(found))
      refuse("substitution", "invalid escape: a backslash precedes a digit or another backslash");
    else if (Number(found[1]) > groups)
      refuse("substitution", `${found} is not a group: the expression has ${groups}`);
    else parts.push(Number(found[1]));
  }
  return parts;
}

/** As RE2 replaces: an empty match right behind another match is none. */
function replaceAll(matcher: Matcher, text: string, parts: readonly (string | number)[]): string {
  let replaced = "";
  let end = 0;
  let hasMatched = false;
  while (matcher.find()) {
    const [from, to] = [matcher.start(), matcher.end()];
    if (hasMatched && from === to && from === end) continue;
    replaced += text.slice(end, from);
    for (const part of parts) replaced += typeof part === "string" ? part : (matcher.group(part) ?? "");
    end = to;
    hasMatched = true;
  }
  return replaced + text.slice(end);
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
