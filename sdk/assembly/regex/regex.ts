import { RegexParser } from "./parser";
import { RegexProgram } from "./program";
import { findMatch } from "./search";
import { RegexTemplate } from "./template";

/** Longest pattern, in UTF-16 code units. */
const MAX_PATTERN: i32 = 4096;

/** Outcome of compiling a pattern: the expression, or what is wrong and where. */
export class RegexResult {
  constructor(
    readonly regex: Regex | null,
    /** `character 5: …`; "" when there is an expression. */
    readonly error: string,
  ) {}
}

/**
 * Compiles a pattern in RE2's syntax. Not supported are classes of Unicode (`\p{…}`); `(?i)` knows the letters of ASCII
 * and Latin-1.
 */
export function compileRegex(pattern: string): RegexResult {
  if (pattern.length > MAX_PATTERN) return new RegexResult(null, `longer than ${MAX_PATTERN} characters`);
  const parser = new RegexParser(pattern);
  const node = parser.parse();
  if (parser.error != "") return new RegexResult(null, parser.error);
  const program = new RegexProgram(node, parser.names.length);
  if (program.isTooLarge) return new RegexResult(null, "too large: use fewer counted repetitions or groups");
  return new RegexResult(new Regex(program, parser.names), "");
}

/** A regular expression whose searches take time in proportion to the text. */
export class Regex {
  constructor(
    private program: RegexProgram,
    /** Names of the groups by number; "" for those without, and for the whole match. */
    readonly names: string[],
  ) {}

  /** Whether the text has a match. */
  test(text: string): bool {
    return findMatch(this.program, text, 0) !== null;
  }

  /**
   * Begin and end of the leftmost match at or after `from`, then of each group; -1 for a group without a part in it.
   * Null when there is no match.
   */
  find(text: string, from: i32 = 0): StaticArray<i32> | null {
    return findMatch(this.program, text, from);
  }

  /** Reads a template with places such as `$1` and `${name}` for `replaceAll`. */
  template(text: string): RegexTemplate {
    return new RegexTemplate(text, this.names);
  }

  /** The text with each match replaced; null when there is none. An empty match behind another match counts for none. */
  replaceAll(text: string, template: RegexTemplate): string | null {
    let result = "";
    let kept = 0;
    let from = 0;
    let count = 0;
    while (from <= text.length) {
      const slots = findMatch(this.program, text, from);
      if (slots === null) break;
      count++;
      const begin = slots[0];
      const end = slots[1];
      result += text.substring(kept, begin);
      if (end > kept || begin == 0) result += template.expand(text, slots);
      kept = end;
      from = end > from ? end : from + widthAt(text, from);
    }
    return count == 0 ? null : result + text.substring(kept);
  }
}

function widthAt(text: string, at: i32): i32 {
  return at < text.length && text.codePointAt(at) > 0xffff ? 2 : 1;
}
