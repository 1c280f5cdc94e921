import { AffixTrie } from "./affix-trie";

/** Names and patterns (`*` and an end, or a beginning and `*`), each with the first rule that has it. */
export class NameIndex {
  private exact: Map<string, i32> = new Map<string, i32>();
  private ends: AffixTrie = new AffixTrie(true);
  private beginnings: AffixTrie = new AffixTrie(false);

  addExact(name: string, rule: i32): void {
    if (!this.exact.has(name)) this.exact.set(name, rule);
  }

  /** A leading `*` goes before a trailing one, which is a character then. */
  addPattern(pattern: string, rule: i32): void {
    if (pattern.startsWith("*")) this.ends.add(pattern.substring(1), rule);
    else if (pattern.endsWith("*")) this.addBeginning(pattern.substring(0, pattern.length - 1), rule);
    else this.addExact(pattern, rule);
  }

  addBeginning(text: string, rule: i32): void {
    this.beginnings.add(text, rule);
  }

  /** The first rule, but before `limit`, that has the name; else `limit`. */
  find(name: string, limit: i32): i32 {
    const exact = this.exact.size > 0 && this.exact.has(name) ? min(limit, this.exact.get(name)) : limit;
    return this.beginnings.find(name, this.ends.find(name, exact));
  }
}
