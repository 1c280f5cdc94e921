/** No rule. It is greater than every rule, so that the lesser of two is the first one. */
export const NONE: i32 = i32.MAX_VALUE;

/** A piece of the texts below it: `text` from `start` to `end`, in reading order. */
class Edge {
  /** First rule that has the text which ends here. */
  rule: i32 = NONE;
  firstChild: Edge | null = null;
  next: Edge | null = null;

  constructor(
    readonly text: string,
    public start: i32,
    public end: i32,
  ) {}
}

/**
 * Beginnings or ends of names, each with the first rule that has it. A lookup goes along the name once, however many there
 * are; an edge is as long as no two texts part within it.
 */
export class AffixTrie {
  private root: Edge = new Edge("", 0, 0);
  private isUsed: bool = false;

  /** `fromEnd`: the texts are ends of names, and read backwards. */
  constructor(private fromEnd: bool) {}

  add(text: string, rule: i32): void {
    this.isUsed = true;
    let edge = this.root;
    let depth = 0;
    while (depth < text.length) {
      const child = this.findChild(edge, this.unitAt(text, depth));
      if (child === null) {
        const leaf = new Edge(text, depth, text.length);
        leaf.next = edge.firstChild;
        edge.firstChild = leaf;
        edge = leaf;
        break;
      }
      depth = this.matchEdge(child, text);
      if (depth < child.end) this.split(child, depth);
      edge = child;
    }
    edge.rule = min(edge.rule, rule);
  }

  /** The first rule, but before `limit`, one of whose texts the name begins or ends with; else `limit`. */
  find(name: string, limit: i32): i32 {
    if (!this.isUsed) return limit;
    let edge = this.root;
    let best = min(limit, edge.rule);
    while (edge.end < name.length) {
      const child = this.findChild(edge, this.unitAt(name, edge.end));
      if (child === null || this.matchEdge(child, name) < child.end) break;
      best = min(best, child.rule);
      edge = child;
    }
    return best;
  }

  @inline
  private unitAt(text: string, depth: i32): i32 {
    return text.charCodeAt(this.fromEnd ? text.length - 1 - depth : depth);
  }

  private findChild(edge: Edge, unit: i32): Edge | null {
    let child = edge.firstChild;
    while (child !== null) {
      if (this.unitAt(child.text, child.start) == unit) return child;
      child = child.next;
    }
    return null;
  }

  /** How deep the name goes along the edge's text; the edge's end if it has all of it. */
  private matchEdge(edge: Edge, name: string): i32 {
    const end = min(edge.end, name.length);
    let depth = edge.start;
    while (depth < end && this.unitAt(edge.text, depth) == this.unitAt(name, depth)) depth++;
    return depth;
  }

  /** Cuts an edge in two at a depth; the lower part keeps the rule and the children. */
  private split(edge: Edge, depth: i32): void {
    const lower = new Edge(edge.text, depth, edge.end);
    lower.rule = edge.rule;
    lower.firstChild = edge.firstChild;
    edge.rule = NONE;
    edge.firstChild = lower;
    edge.end = depth;
  }
}
