import { hasPoint } from "./char-class";
import { isWordPoint } from "./escapes";
import { Assertion } from "./node";
import { Op, RegexProgram } from "./program";

/** Instructions that a search has reached at one position, in order of preference, each with its slots. */
class Threads {
  count: i32 = 0;
  private order: StaticArray<i32> = new StaticArray<i32>(0);
  private places: StaticArray<i32> = new StaticArray<i32>(0);
  slots: StaticArray<i32> = new StaticArray<i32>(0);

  prepare(size: i32, slots: i32): void {
    this.count = 0;
    if (this.order.length < size) {
      this.order = new StaticArray<i32>(size);
      this.places = new StaticArray<i32>(size);
    }
    if (this.slots.length < size * slots) this.slots = new StaticArray<i32>(size * slots);
  }

  at(index: i32): i32 {
    return unchecked(this.order[index]);
  }

  /** Adds an instruction; false when it is there. */
  add(instruction: i32): bool {
    const place = unchecked(this.places[instruction]);
    if (place < this.count && unchecked(this.order[place]) == instruction) return false;
    unchecked((this.places[instruction] = this.count));
    unchecked((this.order[this.count++] = instruction));
    return true;
  }
}

let current = new Threads();
let following = new Threads();
/** Slots of the thread that is being followed. */
let slots = new StaticArray<i32>(0);
/** Instructions still to follow; a negative number is a slot to set back, to the number below it. */
const pending: i32[] = [];

/**
 * Finds the leftmost match at or after `from`, among those the one that a search by trial would find first, in time
 * that grows with the text and never with its square. The slots are begin and end of the match and of each group, -1
 * for what has no part in it; null when nothing matches.
 */
export function findMatch(program: RegexProgram, text: string, from: i32): StaticArray<i32> | null {
  current.prepare(program.size, program.slots);
  following.prepare(program.size, program.slots);
  if (slots.length < program.slots) slots = new StaticArray<i32>(program.slots);
  let found: StaticArray<i32> | null = null;
  let at = from;
  for (;;) {
    if (found === null) {
      slots.fill(-1);
      follow(program, current, 0, text, at);
    }
    if (current.count == 0) break;
    const point = at < text.length ? text.codePointAt(at) : -1;
    const width = point > 0xffff ? 2 : 1;
    const matched = step(program, isSurrogate(point) ? 0xfffd : point, text, at + width);
    if (matched !== null) found = matched;
    const swapped = current;
    current = following;
    following = swapped;
    following.count = 0;
    if (point < 0) break;
    at += width;
  }
  return found;
}

/** Lets each thread take a code point. Returns the slots of the one that is at its end, which those after it yield to. */
function step(program: RegexProgram, point: i32, text: string, next: i32): StaticArray<i32> | null {
  const count = program.slots;
  for (let i = 0; i < current.count; i++) {
    const instruction = current.at(i);
    const op = unchecked(program.ops[instruction]);
    const kept = instruction * count;
    if (op == Op.Match) return current.slots.slice<StaticArray<i32>>(kept, kept + count);
    if (point < 0 || !takes(program, op, unchecked(program.xs[instruction]), point)) continue;
    for (let k = 0; k < count; k++) unchecked((slots[k] = current.slots[kept + k]));
    follow(program, following, instruction + 1, text, next);
  }
  return null;
}

function takes(program: RegexProgram, op: i32, x: i32, point: i32): bool {
  if (op == Op.Point) return x == point;
  return op == Op.Class && hasPoint(unchecked(program.classes[x]), point);
}

/** Adds an instruction and all that it leads to without taking a code point. */
function follow(program: RegexProgram, threads: Threads, first: i32, text: string, at: i32): void {
  const count = program.slots;
  pending.push(first);
  while (pending.length > 0) {
    const instruction = pending.pop();
    if (instruction < 0) {
      slots[-1 - instruction] = pending.pop();
      continue;
    }
    if (!threads.add(instruction)) continue;
    const x = program.xs[instruction];
    switch (program.ops[instruction]) {
      case Op.Split:
        pending.push(program.ys[instruction]);
        pending.push(x);
        break;
      case Op.Jump:
        pending.push(x);
        break;
      case Op.Save:
        pending.push(slots[x]);
        pending.push(-1 - x);
        pending.push(instruction + 1);
        slots[x] = at;
        break;
      case Op.Assert:
        if (holds(x, text, at)) pending.push(instruction + 1);
        break;
      default:
        for (let k = 0; k < count; k++) unchecked((threads.slots[instruction * count + k] = slots[k]));
    }
  }
}

function holds(assertion: i32, text: string, at: i32): bool {
  switch (assertion) {
    case Assertion.TextBegin:
      return at == 0;
    case Assertion.TextEnd:
      return at == text.length;
    case Assertion.LineBegin:
      return at == 0 || text.charCodeAt(at - 1) == 0x0a;
    case Assertion.LineEnd:
      return at == text.length || text.charCodeAt(at) == 0x0a;
    default:
      return isBoundary(text, at) == (assertion == Assertion.WordBoundary);
  }
}

function isBoundary(text: string, at: i32): bool {
  const before = at > 0 && isWordPoint(text.charCodeAt(at - 1));
  const after = at < text.length && isWordPoint(text.charCodeAt(at));
  return before != after;
}

/** A byte that is not UTF-8 counts as U+FFFD, as in RE2. */
function isSurrogate(point: i32): bool {
  return (point & 0xfffff800) == 0xd800;
}
