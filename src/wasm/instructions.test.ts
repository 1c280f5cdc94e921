import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { assembleModule, body, number } from "../../test/peers/assemble-module.ts";
import { text } from "../../test/peers/hand-made-module.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { isValidWasm } from "../../test/peers/run-wasm.ts";
import { UnknownInstruction, walkConstant, walkInstructions } from "./instructions.ts";

// Off in the V8 of Node 20, on in Envoy's.
for (const name of ["relaxed-simd", "typed-funcref"]) setFlagsFromString(`--experimental-wasm-${name}`);

const unreachable = 0x00;
const end = 0x0b;
const callFirst = [0x10, 0];

/** Behind `unreachable` every operand is there, so that V8 looks at nothing but the instruction and what belongs to it. */
const alone = (instruction: readonly number[]) => [unreachable, ...instruction, unreachable];

function moduleWith(instructions: readonly number[]): Uint8Array {
  return assembleModule({
    types: [[0x60, 0, 0]],
    imports: [[...text("m"), ...text("f"), 0, 0]],
    functions: [[0]],
    tables: [[0x70, 0, 1]],
    memories: [[1, 1, 1]],
    tags: [[0, 0]],
    globals: [[0x7f, 1, 0x41, 0, end]],
    elements: [[3, 0, 1, 0]],
    // Locals for the instructions that name one.
    code: [body(instructions, [1, 1, 0x7f])],
    data: [[1, 1, 0]],
  });
}

function found(instructions: readonly number[]): readonly number[] {
  const places: number[] = [];
  const bytes = Uint8Array.from([...instructions, end]);
  walkInstructions(bytes, 0, bytes.length, (at) => places.push(at));
  return places;
}

const zero = number(0, 3);
const sixteen = Array.from({ length: 16 }, () => 0x10);
const alignments = [0, 1, 2, 3, 4].map((alignment) => [...number(alignment, 2), ...number(0x10, 4)]);
/** What may follow an opcode. Numbers are in more bytes than they need, and have bytes in them that would be calls. */
const operands: readonly (readonly number[])[] = [
  ...[[], zero, [...zero, ...zero], [0], number(0x10, 2), [0x40, end]],
  ...[sixteen, sixteen.slice(0, 4), sixteen.slice(0, 8)],
  ...[...alignments, ...alignments.map((where) => [...where, 0])],
  ...[[2, ...zero, ...zero, ...zero], [1, 0x7f], [0x70], [0x40, 0x19, end], [0x40, 0x05, end]],
  ...[
    [0x40, 0x07, 0, end],
    [0x40, 0x07, 0, 0x09, 0, end],
    [0x40, 0x18, ...zero],
  ],
];

const pages = [0xfc, 0xfd, 0xfe];
const single = Array.from({ length: 0xfb }, (_, opcode) => [opcode]);
const prefixed = pages.flatMap((page) =>
  Array.from({ length: 0x120 }, (_, opcode) => [page, ...number(opcode, 3)]),
);

/** All instructions that V8 takes, with what belongs to them. */
const taken = [...single, ...prefixed].flatMap((opcode) =>
  operands
    .map((operand) => [...opcode, ...operand])
    .filter((instruction) => isValidWasm(moduleWith(alone(instruction)))),
);

test("V8 takes every instruction that we know, but those that Node 20 has not", () => {
  const names = new Set(
    taken.map(([first = 0, ...rest]) => (pages.includes(first) ? `${first} ${rest[0]} ${rest[1]}` : first)),
  );
  const [plain, bulk, vectors, atomics] = [189, 18, 256, 67];
  assert(names.size >= plain + bulk + vectors + atomics, `${names.size}`);
});

test("behind each instruction that V8 takes, a call is found where it is", () => {
  const withFunction = new Set([0x10, 0x12, 0xd2]);
  for (const instruction of taken) {
    const before = alone(instruction);
    const places = found([...before, ...callFirst]);
    assert.equal(places.at(-1), before.length + 1, Buffer.from(instruction).toString("hex"));
    if (!withFunction.has(instruction[0]!)) assert.equal(places.length, 1);
    else assert.equal(places[0], 2);
  }
});

test("whatever instructions follow each other, exactly the calls are found", () => {
  const call = fc.integer({ min: 1, max: 5 }).map((width) => [0x10, ...number(0, width)]);
  const other = fc
    .constantFrom(...taken.filter(([first = 0]) => ![0x10, 0x12, 0xd2].includes(first)))
    .map(alone);
  const mix = fc.array(fc.oneof(call, other), { maxLength: 30 });
  fc.assert(
    fc.property(mix, (pieces) => {
      const expected: number[] = [];
      let at = 0;
      for (const piece of pieces) {
        if (piece[0] === 0x10) expected.push(at + 1);
        at += piece.length;
      }
      assert(isValidWasm(moduleWith(pieces.flat())));
      assert.deepEqual(found(pieces.flat()), expected);
    }),
    { numRuns: fuzzRuns(300) },
  );
});

test("exceptions in their newer form, which V8 takes in Envoy only", () => {
  const clauses = [4, 0, 0x10, 0x10, 1, 0x10, 0x10, 2, 0x10, 3, 0x10];
  assert.deepEqual(found([0x1f, 0x40, ...clauses, 0x0a, end, ...callFirst]), [16]);
  assert.deepEqual(found([0x1f, 0x64, 0x10, 0, ...callFirst, end]), [5]);
  assert.throws(() => found([0x1f, 0x40, 1, 4, 0, end]), /^Error: catch clause 4 at byte 3$/);
});

test("what is unknown, or ends too early, is refused with its place", () => {
  for (const [bytes, message] of [
    [[0x01, 0xfb, 0x00], /an unknown instruction \(fb 00 0b\) at byte 1/],
    [[0xfd, 0xff, 0x7f], /an unknown instruction \(fd ff 7f\) at byte 0/],
    [[0x41, ...Array.from({ length: 11 }, () => 0x80)], /a number without an end at byte 1/],
    [[0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], /a number without an end at byte/],
    [[0x44, 0], /goes on behind the end/],
  ] as const) {
    assert.throws(
      () => found(bytes),
      (error: Error) => error instanceof UnknownInstruction && message.test(error.message),
    );
  }
  assert.throws(() => walkConstant(Uint8Array.from([0x41, 0]), 0, () => {}), /\(the end\) at byte 2/);
});

test("a constant expression ends with its end", () => {
  const places: number[] = [];
  const bytes = Uint8Array.from([0xd2, 0x80, 0, end, 0x10, 0]);
  assert.equal(
    walkConstant(bytes, 0, (at) => places.push(at)),
    4,
  );
  assert.deepEqual(places, [1]);
});

test("random bytes are walked or refused, and always to an end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      try {
        walkInstructions(bytes, 0, bytes.length, () => {});
      } catch (error) {
        assert(error instanceof UnknownInstruction, String(error));
      }
    }),
    { numRuns: fuzzRuns(2000) },
  );
});
