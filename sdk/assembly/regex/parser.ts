import { CharClass, MAX_POINT } from "./char-class";
import { readClass, readPerlClass } from "./class-parser";
import { isWordPoint, readEscape } from "./escapes";
import { Assertion, NodeKind, RegexNode } from "./node";
import { RegexReader } from "./reader";

/** Groups may be nested this deep. */
const MAX_DEPTH: i32 = 100;
/** A part may be repeated this often, counted repetitions within each other multiplied. */
const MAX_REPEAT: i32 = 1000;

/** Reads a pattern in RE2's syntax with the flags that Go sets. */
export class RegexParser {
  /** Names of the groups by number; "" for those without. */
  readonly names: string[] = [""];
  private reader: RegexReader;
  private depth: i32 = 0;
  private ignoresCase: bool = false;
  private isMultiline: bool = false;
  private dotTakesNewline: bool = false;
  private isUngreedy: bool = false;

  constructor(pattern: string) {
    this.reader = new RegexReader(pattern);
  }

  /** What is wrong with the pattern and where; "" when nothing is. */
  get error(): string {
    return this.reader.error;
  }

  parse(): RegexNode {
    const node = this.parseAlternation();
    if (!this.reader.isAtEnd) this.reader.fail(this.reader.at, "')' without '('");
    return node;
  }

  private get isOver(): bool {
    return this.reader.isAtEnd || this.reader.error != "";
  }

  private parseAlternation(): RegexNode {
    const branches: RegexNode[] = [];
    if (++this.depth > MAX_DEPTH) {
      this.reader.fail(this.reader.at, `groups are nested deeper than ${MAX_DEPTH} levels`);
      return new RegexNode(NodeKind.Empty);
    }
    do branches.push(this.parseSequence());
    while (this.reader.eat(0x7c));
    this.depth--;
    return branches.length == 1 ? branches[0] : new RegexNode(NodeKind.Alternate, branches);
  }

  private parseSequence(): RegexNode {
    const items: RegexNode[] = [];
    let isRepeated = false;
    while (!this.isOver && this.reader.peek() != 0x7c && this.reader.peek() != 0x29) {
      const start = this.reader.at;
      const times = this.parseTimes();
      if (times === null) {
        isRepeated = false;
        this.parseItem(items);
      } else {
        this.repeat(items, times, start, isRepeated);
        isRepeated = true;
      }
    }
    if (items.length == 1) return items[0];
    return items.length == 0 ? new RegexNode(NodeKind.Empty) : new RegexNode(NodeKind.Concat, items);
  }

  private repeat(items: RegexNode[], times: StaticArray<i32>, start: i32, isRepeated: bool): void {
    if (items.length == 0) {
      this.reader.fail(start, "nothing to repeat before this");
      return;
    }
    if (isRepeated) {
      this.reader.fail(start, "a repetition is repeated: put it into (?:…)");
      return;
    }
    const isGreedy = this.reader.eat(0x3f) == this.isUngreedy;
    const node = RegexNode.ofRepeat(items.pop(), times[0], times[1], isGreedy);
    if (times[0] > MAX_REPEAT || times[1] > MAX_REPEAT || !node.repeatsAtMost(MAX_REPEAT))
      this.reader.fail(start, `repeated more than ${MAX_REPEAT} times`);
    else if (times[1] >= 0 && times[1] < times[0])
      this.reader.fail(start, "the most is less than the least number of times");
    items.push(node);
  }

  /** Least and most times of a repetition; null when there is none here. Braces without numbers are plain text. */
  private parseTimes(): StaticArray<i32> | null {
    const reader = this.reader;
    if (reader.eat(0x2a)) return [0, -1];
    if (reader.eat(0x2b)) return [1, -1];
    if (reader.eat(0x3f)) return [0, 1];
    const start = reader.at;
    if (!reader.eat(0x7b)) return null;
    const least = this.parseCount();
    let most = least;
    if (least >= 0 && reader.eat(0x2c)) most = reader.peek() == 0x7d ? -1 : this.parseCount();
    const isUnlimited = most < 0 && reader.pattern.charCodeAt(reader.at - 1) == 0x2c;
    if (least >= 0 && (most >= 0 || isUnlimited) && reader.eat(0x7d)) return [least, most];
    reader.at = start;
    return null;
  }

  /** A number without leading zeros; -1 when there is none. */
  private parseCount(): i32 {
    const start = this.reader.at;
    let count = 0;
    while (isDigit(this.reader.peek())) count = min(count * 10 + this.reader.next() - 0x30, MAX_REPEAT + 1);
    const digits = this.reader.at - start;
    return digits == 0 || (digits > 1 && this.reader.pattern.charCodeAt(start) == 0x30) ? -1 : count;
  }

  private parseItem(items: RegexNode[]): void {
    const reader = this.reader;
    if (reader.eat(0x28)) this.parseGroup(items);
    else if (reader.eat(0x5b)) items.push(RegexNode.ofRanges(readClass(reader, this.ignoresCase)));
    else if (reader.eat(0x2e)) items.push(this.anyPoint());
    else if (reader.eat(0x5e))
      items.push(assert(this.isMultiline ? Assertion.LineBegin : Assertion.TextBegin));
    else if (reader.eat(0x24)) items.push(assert(this.isMultiline ? Assertion.LineEnd : Assertion.TextEnd));
    else if (reader.eat(0x5c)) this.parseEscape(items);
    else items.push(this.literal(reader.next()));
  }

  private parseEscape(items: RegexNode[]): void {
    const reader = this.reader;
    if (reader.eat(0x51)) this.parseQuoted(items);
    else if (reader.eat(0x41)) items.push(assert(Assertion.TextBegin));
    else if (reader.eat(0x7a)) items.push(assert(Assertion.TextEnd));
    else if (reader.eat(0x62)) items.push(assert(Assertion.WordBoundary));
    else if (reader.eat(0x42)) items.push(assert(Assertion.NoWordBoundary));
    else {
      const ranges = readPerlClass(reader, this.ignoresCase);
      items.push(ranges.length > 0 ? RegexNode.ofRanges(ranges) : this.literal(readEscape(reader)));
    }
  }

  /** Text up to `\E`, or to the end. */
  private parseQuoted(items: RegexNode[]): void {
    while (!this.reader.isAtEnd && !this.reader.eatText("\\E")) items.push(this.literal(this.reader.next()));
  }

  private literal(point: i32): RegexNode {
    const set = new CharClass();
    set.add(point, point);
    if (this.ignoresCase) set.fold();
    return RegexNode.ofRanges(set.sorted());
  }

  private anyPoint(): RegexNode {
    return RegexNode.ofRanges(this.dotTakesNewline ? [0, MAX_POINT] : [0, 0x09, 0x0b, MAX_POINT]);
  }

  /** A group, from behind its parenthesis; flags without a group add nothing. */
  private parseGroup(items: RegexNode[]): void {
    const start = this.reader.at - 1;
    const ignoresCase = this.ignoresCase;
    const isMultiline = this.isMultiline;
    const dotTakesNewline = this.dotTakesNewline;
    const isUngreedy = this.isUngreedy;
    let group = 0;
    if (this.reader.eatText("?P<") || this.reader.eatText("?<")) group = this.addGroup(this.parseName(start));
    else if (!this.reader.eat(0x3f)) group = this.addGroup("");
    else if (!this.parseFlags(start)) return;
    const node = this.parseAlternation();
    if (!this.reader.eat(0x29)) this.reader.fail(start, "')' is missing at the end of this group");
    items.push(group == 0 ? node : RegexNode.ofValue(NodeKind.Capture, group, [node]));
    this.ignoresCase = ignoresCase;
    this.isMultiline = isMultiline;
    this.dotTakesNewline = dotTakesNewline;
    this.isUngreedy = isUngreedy;
  }

  private addGroup(name: string): i32 {
    this.names.push(name);
    return this.names.length - 1;
  }

  private parseName(start: i32): string {
    const begin = this.reader.at;
    while (isWordPoint(this.reader.peek())) this.reader.next();
    const name = this.reader.pattern.substring(begin, this.reader.at);
    if (name == "" || !this.reader.eat(0x3e))
      this.reader.fail(start, "a group's name is expected to be letters, digits and '_' up to '>'");
    else if (this.names.includes(name)) this.reader.fail(start, `there is another group ${name}`);
    return name;
  }

  /** Reads flags up to `:` or `)`; whether a group follows. */
  private parseFlags(start: i32): bool {
    let isSet = true;
    let count = 0;
    let point = this.reader.next();
    while ((point != 0x3a && point != 0x29) || (!isSet && count == 0)) {
      if (point == 0x2d && isSet) {
        isSet = false;
        count = 0;
      } else if (this.setFlag(point, isSet)) {
        count++;
      } else {
        this.reader.fail(start, "unknown group: expected (?:…), (?P<name>…) or flags among i, m, s and U");
        return false;
      }
      point = this.reader.next();
    }
    return point == 0x3a;
  }

  private setFlag(flag: i32, isSet: bool): bool {
    if (flag == 0x69) this.ignoresCase = isSet;
    else if (flag == 0x6d) this.isMultiline = isSet;
    else if (flag == 0x73) this.dotTakesNewline = isSet;
    else if (flag == 0x55) this.isUngreedy = isSet;
    else return false;
    return true;
  }
}

function assert(place: Assertion): RegexNode {
  return RegexNode.ofValue(NodeKind.Assert, place);
}

function isDigit(point: i32): bool {
  return point >= 0x30 && point <= 0x39;
}
