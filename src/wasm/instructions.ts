/**
 * What follows an opcode, a letter for each part: `n` a number in LEB128, `f` the index of a function, `b` a byte,
 * `4`, `8` and `x` that many bytes (`x` 16), `t` a type, `m` where in a memory, `N` and `T` lists of numbers and of types,
 * `c` a list of catch clauses, `p` an opcode of the page that the prefix names.
 */
type Parts = string;
type Page = readonly (Parts | undefined)[];

function createPage(...ranges: readonly (readonly [first: number, last: number, parts: Parts])[]): Page {
  const page: (Parts | undefined)[] = [];
  for (const [first, last, parts] of ranges) for (let at = first; at <= last; at++) page[at] = parts;
  return page;
}

/** Opcodes of the specification's release 2 with tail calls, typed references and exceptions (older and newer ones). */
const opcodes = createPage(
  [0x00, 0x01, ""],
  [0x02, 0x04, "t"], // block, loop, if
  [0x05, 0x05, ""],
  [0x06, 0x06, "t"], // try
  [0x07, 0x09, "n"], // catch, throw, rethrow
  [0x0a, 0x0b, ""],
  [0x0c, 0x0d, "n"],
  [0x0e, 0x0e, "Nn"], // br_table
  [0x0f, 0x0f, ""],
  [0x10, 0x10, "f"], // call
  [0x11, 0x11, "nn"],
  [0x12, 0x12, "f"], // return_call
  [0x13, 0x13, "nn"],
  [0x14, 0x15, "n"],
  [0x18, 0x18, "n"], // delegate
  [0x19, 0x1b, ""],
  [0x1c, 0x1c, "T"],
  [0x1f, 0x1f, "tc"], // try_table
  [0x20, 0x26, "n"],
  [0x28, 0x3e, "m"],
  [0x3f, 0x42, "n"],
  [0x43, 0x43, "4"],
  [0x44, 0x44, "8"],
  [0x45, 0xc4, ""],
  [0xd0, 0xd0, "n"], // ref.null
  [0xd1, 0xd1, ""],
  [0xd2, 0xd2, "f"], // ref.func
  [0xd3, 0xd4, ""],
  [0xd5, 0xd6, "n"],
  [0xfc, 0xfe, "p"],
);

const pages: Readonly<Record<number, Page>> = {
  // Conversions that do not trap, and bulk operations.
  252: createPage(
    [0, 7, ""],
    [8, 8, "nn"],
    [9, 9, "n"],
    [10, 10, "nn"],
    [11, 11, "n"],
    [12, 12, "nn"],
    [13, 13, "n"],
    [14, 14, "nn"],
    [15, 17, "n"],
  ),
  // Vectors, the relaxed ones too.
  253: createPage(
    [0, 11, "m"],
    [12, 13, "x"],
    [14, 20, ""],
    [21, 34, "b"],
    [35, 83, ""],
    [84, 91, "mb"],
    [92, 93, "m"],
    [94, 0x113, ""],
  ),
  // Atomics.
  254: createPage([0, 2, "m"], [3, 3, "b"], [0x10, 0x4e, "m"]),
};

/** Thrown by walks over what they do not know; `at` is where it stands in the module. */
export class UnknownInstruction extends Error {
  constructor(
    readonly at: number,
    found: string,
  ) {
    super(`${found} at byte ${at}`);
  }
}

type Visit = (at: number) => void;

/**
 * Walks the instructions between two places in a module and hears where each index of a function stands.
 * @throws UnknownInstruction
 */
export function walkInstructions(bytes: Uint8Array, start: number, end: number, onFunction: Visit): void {
  let at = start;
  while (at < end) at = skipInstruction(bytes, at, onFunction);
  if (at !== end)
    throw new UnknownInstruction(at, "an instruction that goes on behind the end of its function");
}

/**
 * Walks a constant expression and gives where it ends.
 * @throws UnknownInstruction
 */
export function walkConstant(bytes: Uint8Array, start: number, onFunction: Visit): number {
  let at = start;
  // Constant expressions have no blocks: the first `end` is theirs.
  while (bytes[at] !== 0x0b) at = skipInstruction(bytes, at, onFunction);
  return at + 1;
}

function skipInstruction(bytes: Uint8Array, at: number, onFunction: Visit): number {
  const parts = opcodes[bytes[at] ?? -1];
  if (parts === undefined) throw unknownAt(bytes, at);
  if (parts === "p") return skipPrefixed(bytes, at, onFunction);
  return parts === "" ? at + 1 : skipParts(bytes, at + 1, parts, onFunction);
}

function skipPrefixed(bytes: Uint8Array, at: number, onFunction: Visit): number {
  const [opcode, end] = readNumber(bytes, at + 1);
  const parts = pages[bytes[at]!]?.[opcode];
  if (parts === undefined) throw unknownAt(bytes, at);
  return skipParts(bytes, end, parts, onFunction);
}

function skipParts(bytes: Uint8Array, start: number, parts: Parts, onFunction: Visit): number {
  let at = start;
  for (const part of parts) {
    if (part === "f") onFunction(at);
    at = part === "n" || part === "f" ? skipNumber(bytes, at) : skipPart[part]!(bytes, at);
  }
  return at;
}

const skipPart: Readonly<Record<string, (bytes: Uint8Array, at: number) => number>> = {
  b: (_, at) => at + 1,
  4: (_, at) => at + 4,
  8: (_, at) => at + 8,
  x: (_, at) => at + 16,
  t: skipType,
  m(bytes, at) {
    const [alignment, offset] = readNumber(bytes, at);
    // One bit of the alignment says that the index of a memory follows.
    return skipNumber(bytes, alignment & 0x40 ? skipNumber(bytes, offset) : offset);
  },
  N: (bytes, at) => skipList(bytes, at, skipNumber),
  T: (bytes, at) => skipList(bytes, at, skipType),
  c: (bytes, at) => skipList(bytes, at, skipCatch),
};

function skipList(bytes: Uint8Array, start: number, skip: (bytes: Uint8Array, at: number) => number): number {
  const [count, first] = readNumber(bytes, start);
  let at = first;
  for (let left = count; left > 0; left--) at = skip(bytes, at);
  return at;
}

/** A value's type or a block's: a number, but a reference to a heap type, which is a number behind a byte. */
export function skipType(bytes: Uint8Array, at: number): number {
  const isReference = bytes[at] === 0x63 || bytes[at] === 0x64;
  return skipNumber(bytes, isReference ? at + 1 : at);
}

/** A clause has a tag unless it catches all, and where to go. */
function skipCatch(bytes: Uint8Array, at: number): number {
  const kind = bytes[at] ?? 0xff;
  if (kind > 3) throw new UnknownInstruction(at, `catch clause ${kind}`);
  return skipNumber(bytes, kind < 2 ? skipNumber(bytes, at + 1) : at + 1);
}

/** Steps over a LEB128, signed or not. */
export function skipNumber(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at]! >= 0x80) at++;
  if (at >= bytes.length || at - start > 9) throw new UnknownInstruction(start, "a number without an end");
  return at + 1;
}

/** Reads an unsigned LEB128, and gives where it ends. */
export function readNumber(bytes: Uint8Array, start: number): readonly [value: number, end: number] {
  const end = skipNumber(bytes, start);
  let value = 0;
  for (let at = end - 1; at >= start; at--) value = value * 0x80 + (bytes[at]! & 0x7f);
  return [value, end];
}

function unknownAt(bytes: Uint8Array, at: number): UnknownInstruction {
  const shown = [...bytes.subarray(at, at + 3)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return new UnknownInstruction(at, `an unknown instruction (${shown || "the end"})`);
}
