/**
 * Texts, each with the index of the first rule that has it, to be found at the beginning or the end of another text.
 * A lookup costs one probe per distinct length, so thousands of `*.domain` patterns cost no more than a few.
 */
export class AffixIndex {
  private rules: Map<string, i32> = new Map<string, i32>();
  private lengths: i32[] = [];

  get isEmpty(): bool {
    return this.lengths.length == 0;
  }

  add(text: string, rule: i32): void {
    if (this.rules.has(text)) return;
    this.rules.set(text, rule);
    if (!this.lengths.includes(text.length)) this.lengths.push(text.length);
  }

  /** Least rule, and less than `limit`, one of whose texts begins `subject`; else `limit`. */
  findPrefix(subject: string, limit: i32): i32 {
    let best = limit;
    for (let i = 0; i < this.lengths.length; i++) {
      const length = this.lengths[i];
      if (length <= subject.length) best = min(best, this.find(subject.substring(0, length)));
    }
    return best;
  }

  /** Least rule, and less than `limit`, one of whose texts ends `subject`; else `limit`. */
  findSuffix(subject: string, limit: i32): i32 {
    let best = limit;
    for (let i = 0; i < this.lengths.length; i++) {
      const length = this.lengths[i];
      if (length <= subject.length) best = min(best, this.find(subject.substring(subject.length - length)));
    }
    return best;
  }

  private find(text: string): i32 {
    return this.rules.has(text) ? this.rules.get(text) : i32.MAX_VALUE;
  }
}
