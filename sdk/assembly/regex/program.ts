import { NodeKind, RegexNode } from "./node";

/** What an instruction of a program does. */
export enum Op {
  /** Takes the code point `x`. */
  Point,
  /** Takes a code point of class `x`. */
  Class,
  /** Goes on at `x`, and where that leads nowhere at `y`. */
  Split,
  /** Goes on at `x`. */
  Jump,
  /** Keeps the position in slot `x`. */
  Save,
  /** Goes on where the assertion `x` holds. */
  Assert,
  Match,
}

/** Size of a program, and with it of what one character of a text can cost. */
const MAX_INSTRUCTIONS: i32 = 10000;
/** Instructions times slots: what a search keeps in memory. */
const MAX_SLOTS: i32 = 200000;

/** Instructions of a pattern. A search begins at 0. */
export class RegexProgram {
  readonly ops: i32[] = [];
  readonly xs: i32[] = [];
  readonly ys: i32[] = [];
  readonly classes: StaticArray<i32>[] = [];
  /** Two for each group, and two for the whole match. */
  readonly slots: i32;

  constructor(node: RegexNode, groups: i32) {
    this.slots = 2 * groups;
    this.add(Op.Save, 0);
    this.addNode(node);
    this.add(Op.Save, 1);
    this.add(Op.Match);
  }

  get size(): i32 {
    return this.ops.length;
  }

  get isTooLarge(): bool {
    return this.size > MAX_INSTRUCTIONS || this.size * this.slots > MAX_SLOTS;
  }

  private add(op: Op, x: i32 = 0, y: i32 = 0): i32 {
    this.ops.push(op);
    this.xs.push(x);
    return this.ys.push(y) - 1;
  }

  private addNode(node: RegexNode): void {
    if (this.isTooLarge) return;
    const children = node.children;
    switch (node.kind) {
      case NodeKind.Class:
        this.addClass(node.ranges);
        return;
      case NodeKind.Assert:
        this.add(Op.Assert, node.value);
        return;
      case NodeKind.Concat:
        for (let i = 0; i < children.length; i++) this.addNode(children[i]);
        return;
      case NodeKind.Alternate:
        this.addAlternate(children);
        return;
      case NodeKind.Capture:
        this.add(Op.Save, 2 * node.value);
        this.addNode(children[0]);
        this.add(Op.Save, 2 * node.value + 1);
        return;
      case NodeKind.Repeat:
        this.addRepeat(children[0], node.min, node.max, node.isGreedy);
    }
  }

  private addClass(ranges: i32[]): void {
    if (ranges.length == 2 && ranges[0] == ranges[1]) {
      this.add(Op.Point, ranges[0]);
      return;
    }
    this.classes.push(StaticArray.fromArray(ranges));
    this.add(Op.Class, this.classes.length - 1);
  }

  private addAlternate(branches: RegexNode[]): void {
    const jumps: i32[] = [];
    for (let i = 0; i < branches.length - 1; i++) {
      const split = this.add(Op.Split, this.size + 1);
      this.addNode(branches[i]);
      jumps.push(this.add(Op.Jump));
      this.ys[split] = this.size;
    }
    this.addNode(branches[branches.length - 1]);
    for (let i = 0; i < jumps.length; i++) this.xs[jumps[i]] = this.size;
  }

  private addRepeat(node: RegexNode, min: i32, max: i32, isGreedy: bool): void {
    if (max < 0 && min == 0) {
      this.addStar(node, isGreedy);
      return;
    }
    const copies = max < 0 ? min - 1 : min;
    for (let i = 0; i < copies; i++) this.addNode(node);
    if (max < 0) this.addPlus(node, isGreedy);
    else this.addOptional(node, max - min, isGreedy);
  }

  private addStar(node: RegexNode, isGreedy: bool): void {
    const split = this.addSplit();
    if (node.isNullable) {
      // A body that takes nothing has to be tried before none, or the order of preference is lost.
      this.addPlus(node, isGreedy);
    } else {
      this.addNode(node);
      this.add(Op.Jump, split);
    }
    this.setSplit(split, split + 1, this.size, isGreedy);
  }

  private addPlus(node: RegexNode, isGreedy: bool): void {
    const start = this.size;
    this.addNode(node);
    const split = this.addSplit();
    this.setSplit(split, start, this.size, isGreedy);
  }

  /** `(x(x(x)?)?)?` for three times. */
  private addOptional(node: RegexNode, times: i32, isGreedy: bool): void {
    const splits: i32[] = [];
    for (let i = 0; i < times; i++) {
      splits.push(this.addSplit());
      this.addNode(node);
    }
    for (let i = 0; i < times; i++) this.setSplit(splits[i], splits[i] + 1, this.size, isGreedy);
  }

  private addSplit(): i32 {
    return this.add(Op.Split);
  }

  private setSplit(split: i32, body: i32, end: i32, isGreedy: bool): void {
    this.xs[split] = isGreedy ? body : end;
    this.ys[split] = isGreedy ? end : body;
  }
}
