/** Goes through a pattern, and keeps the first thing that is wrong with it. */
export class RegexReader {
  at: i32 = 0;
  error: string = "";

  constructor(readonly pattern: string) {}

  get isAtEnd(): bool {
    return this.at >= this.pattern.length;
  }

  /** The code point at the current position; -1 at the end. */
  peek(): i32 {
    return this.isAtEnd ? -1 : this.pattern.codePointAt(this.at);
  }

  /** Takes the code point at the current position; -1 at the end. */
  next(): i32 {
    const point = this.peek();
    if (point >= 0) this.at += point > 0xffff ? 2 : 1;
    return point;
  }

  eat(point: i32): bool {
    if (this.peek() != point) return false;
    this.at++;
    return true;
  }

  eatText(text: string): bool {
    if (!this.pattern.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  /** Says what is wrong with the pattern at `start`. Returns -1. */
  fail(start: i32, message: string): i32 {
    if (this.error == "") this.error = `character ${start + 1}: ${message}`;
    return -1;
  }
}
