import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildGuest } from "../../test/guests/build-guests.ts";
import { assembleModule, body, number, type Sections } from "../../test/peers/assemble-module.ts";
import { text } from "../../test/peers/hand-made-module.ts";
import { tracePlugin } from "../../test/peers/plugin-trace.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { runWasm } from "../../test/peers/run-wasm.ts";
import { importName } from "./envoy-imports.ts";
import { UnknownInstruction } from "./instructions.ts";
import { readModule } from "./read-module.ts";
import { wrapImport } from "./wrap-import.ts";

const plugins = fileURLToPath(new URL("../../build/plugins/", import.meta.url));
const end = 0x0b;
const i32 = 0x7f;

/** A function from nothing to a number, as the import; its wrapper adds 1,000. */
const addThousand = (index: number) =>
  Uint8Array.from([0, 0x10, ...number(index), 0x41, 0xe8, 0x07, 0x6a, end]);

function wrapped(bytes: Uint8Array, name = "m.f"): Uint8Array {
  return wrapImport(bytes, readModule(bytes, "m"), name, addThousand);
}

/** A module that imports `m.other`, `m.f` and `m.f` again, all from nothing to a number, and exports its own functions by number. */
function guest({ code = [], exports = [], ...rest }: Sections): Uint8Array {
  const imports = ["other", "f", "f"].map((name) => [...text("m"), ...text(name), 0, 0]);
  const own = code.map((_, index) => [...text(`${index}`), 0, ...number(3 + index)]);
  return assembleModule({
    types: [[0x60, 0, 1, i32]],
    imports,
    functions: code.map(() => [0]),
    exports: [...own, ...exports],
    code,
    ...rest,
  });
}

/** What the exports of a module with these imports give. */
function answers(bytes: Uint8Array): Record<string, number> {
  const { functions } = runWasm(bytes, { m: { other: () => 1, f: () => 2 } });
  return Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, call()]));
}

test("calls of the import reach the wrapper, whatever way they take, and those of others do not", () => {
  const table = [[0x70, 0, 8]];
  const indirect = (entry: number) => body([0x41, entry, 0x11, 0, 0]);
  const code = [
    ...[body([0x10, 1]), body([0x10, ...number(2, 5)]), body([0x10, 0]), body([0x12, 1])],
    ...[indirect(0), indirect(1), indirect(2), indirect(3), indirect(4), indirect(5)],
    // From a global and from `ref.func` into the table, and called there.
    body([0x41, 6, 0x23, 0, 0x26, 0, 0x41, 6, 0x11, 0, 0]),
    body([0x41, 7, 0xd2, 1, 0x26, 0, 0x41, 7, 0x11, 0, 0]),
    // From a passive segment.
    body([0x41, 4, 0x41, 0, 0x41, 1, 0xfc, 12, 4, 0, 0x41, 4, 0x11, 0, 0]),
  ];
  const elements = [
    [0, 0x41, 0, end, 2, 1, 0],
    [2, 0, 0x41, 2, end, 0, 1, 1],
    [4, 0x41, 3, end, 1, 0xd2, 2, end],
    [6, 0, 0x41, 4, end, 0x70, 2, 0xd2, 0, end, 0xd2, 1, end],
    [1, 0, 1, 1],
    [5, 0x70, 2, 0xd0, 0x70, end, 0xd2, 1, end],
    [3, 0, 1, 1],
    [7, 0x70, 1, 0xd2, 1, end],
  ];
  const bytes = guest({
    code,
    elements,
    tables: table,
    globals: [[0x70, 0, 0xd2, 1, end]],
    exports: [[...text("again"), 0, 1]],
  });
  const before = {
    0: 2,
    1: 2,
    2: 1,
    3: 2,
    4: 2,
    5: 1,
    6: 2,
    7: 2,
    8: 1,
    9: 2,
    10: 2,
    11: 2,
    12: 2,
    again: 2,
  };
  assert.deepEqual(answers(bytes), before);
  const after = Object.fromEntries(
    Object.entries(before).map(([name, value]) => [name, value === 2 ? 1002 : 1]),
  );
  assert.deepEqual(answers(wrapped(bytes)), after);
});

test("lengths grow into more bytes where the index of the wrapper is longer than that of the import", () => {
  for (const functions of [60, 61, 62, 124, 125, 126, 200]) {
    const code = Array.from({ length: functions }, (_, index) => body([0x10, index % 2]));
    const bytes = guest({ code });
    const expected = Object.entries(answers(bytes)).map(([name, value]) => [name, value === 2 ? 1002 : 1]);
    assert.deepEqual(answers(wrapped(bytes)), Object.fromEntries(expected));
  }
});

test("a module without the import stays as it is", () => {
  const bytes = guest({ code: [body([0x10, 1])] });
  assert.equal(wrapped(bytes, "m.nothing"), bytes);
});

test("what cannot be walked over, or is no module afterwards, is refused", () => {
  const unknown = guest({ code: [body([0xfb, 0x00, 0x41, 0])] });
  assert.throws(() => wrapped(unknown), UnknownInstruction);
  const segment = guest({ code: [body([0x10, 1])], tables: [[0x70, 0, 1]], elements: [[8, 0]] });
  assert.throws(() => wrapped(segment), /^Error: element segment 8 at byte \d+$/);
  const filled = guest({ code: [body([0x10, 1])], tables: [[0x40, 0, 0x70, 0, 1, 0xd2, 1, end]] });
  assert.throws(() => wrapped(filled), /^Error: a table that says what is in it at first at byte \d+$/);
  const broken = guest({ code: [body([0x10, 1, 0x1a])] });
  assert.throws(() => wrapped(broken), { code: "module-invalid", message: /^V8 does not take the module/ });
});

/** The module with a function around one of its imports that only calls it. */
function withForwarding(bytes: Uint8Array, which: number): Uint8Array {
  const module = readModule(bytes, "a plugin");
  const imports = module.imports.filter(({ kind }) => kind === "function");
  const chosen = imports[which % imports.length]!;
  const parameters = Array.from({ length: countParameters(bytes, chosen.type!) }, (_, at) => [0x20, at]);
  const forward = (index: number) => Uint8Array.from([0, ...parameters.flat(), 0x10, index, end]);
  const result = wrapImport(bytes, module, importName(chosen), forward);
  assert(result.length > bytes.length);
  return result;
}

function hasSameTrace(bytes: Uint8Array, which: number, seed: number): void {
  const trace = tracePlugin(bytes, seed);
  assert(trace.length > 10);
  assert.deepEqual(tracePlugin(withForwarding(bytes, which), seed), trace);
}

test("plugins with a wrapper around an import, whichever it is, do the same", async () => {
  const names = (await readdir(plugins)).filter((name) => name.endsWith(".wasm"));
  assert(names.length > 0, `no modules in ${plugins}`);
  const built = await Promise.all(names.map((name) => readFile(plugins + name)));
  fc.assert(fc.property(fc.constantFrom(...built), fc.nat(), fc.nat(), hasSameTrace), {
    numRuns: fuzzRuns(100),
  });
});

test("so does a plugin in Go, with all that its runtime is made of", async () => {
  const bytes = await readFile(await buildGuest("go-rules"));
  fc.assert(fc.property(fc.constant(bytes), fc.nat(), fc.nat(), hasSameTrace), { numRuns: fuzzRuns(10) });
});

/** How many parameters a type of a module has; those of plugins are written as V8 and compilers write them. */
function countParameters(bytes: Uint8Array, type: number): number {
  const { start } = readModule(bytes, "m").sections.find(({ id }) => id === 1)!;
  let at = start + 1;
  for (let left = type; left > 0; left--) {
    const results = at + 2 + bytes[at + 1]!;
    at = results + 1 + bytes[results]!;
  }
  return bytes[at + 1]!;
}
