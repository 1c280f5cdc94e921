/** What a part of a pattern matches. */
export enum NodeKind {
  Empty,
  /** One code point of `ranges`. */
  Class,
  /** A place between code points; `value` is an Assertion. */
  Assert,
  /** The children one after the other. */
  Concat,
  /** The first child that leads to a match. */
  Alternate,
  /** The child, from `min` times to `max` times; -1 is without end. */
  Repeat,
  /** The child, whose place is kept as group `value`. */
  Capture,
}

/** Places that a pattern can ask for. */
export enum Assertion {
  LineBegin,
  LineEnd,
  TextBegin,
  TextEnd,
  WordBoundary,
  NoWordBoundary,
}

/** A part of a pattern. */
export class RegexNode {
  value: i32 = 0;
  min: i32 = 0;
  max: i32 = 0;
  isGreedy: bool = true;
  ranges: i32[] = [];

  constructor(
    readonly kind: NodeKind,
    readonly children: RegexNode[] = [],
  ) {}

  static ofRanges(ranges: i32[]): RegexNode {
    const node = new RegexNode(NodeKind.Class);
    node.ranges = ranges;
    return node;
  }

  static ofValue(kind: NodeKind, value: i32, children: RegexNode[] = []): RegexNode {
    const node = new RegexNode(kind, children);
    node.value = value;
    return node;
  }

  static ofRepeat(child: RegexNode, min: i32, max: i32, isGreedy: bool): RegexNode {
    const node = new RegexNode(NodeKind.Repeat, [child]);
    node.min = min;
    node.max = max;
    node.isGreedy = isGreedy;
    return node;
  }

  /** Whether the empty text matches, perhaps at certain places only. */
  get isNullable(): bool {
    if (this.kind == NodeKind.Class) return false;
    if (this.kind == NodeKind.Repeat) return this.min == 0 || this.children[0].isNullable;
    if (this.kind == NodeKind.Alternate) return this.children.some((child) => child.isNullable);
    return this.children.every((child) => child.isNullable);
  }

  /** Whether counted repetitions within each other come to at most `count` times. */
  repeatsAtMost(count: i32): bool {
    let rest = count;
    if (this.kind == NodeKind.Repeat && (this.min > 1 || this.max > 1)) {
      const times = this.max < 0 ? this.min : this.max;
      if (times > rest) return false;
      rest /= times;
    }
    for (let i = 0; i < this.children.length; i++) {
      if (!this.children[i].repeatsAtMost(rest)) return false;
    }
    return true;
  }
}
