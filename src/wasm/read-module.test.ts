import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { handMadeModule, section, text } from "../../test/peers/hand-made-module.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { readByV8 } from "../../test/peers/read-by-v8.ts";
import { SystemError } from "../system-error.ts";
import { type ModuleImport, readModule } from "./read-module.ts";

const plugins = fileURLToPath(new URL("../../build/plugins/", import.meta.url));
const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const moduleOf = (...sections: number[][]) => Uint8Array.from([...header, ...sections.flat()]);

async function builtModules(): Promise<readonly Uint8Array[]> {
  const names = (await readdir(plugins)).filter((name) => name.endsWith(".wasm"));
  assert(names.length > 0, `no modules in ${plugins}`);
  return Promise.all(names.map((name) => readFile(plugins + name)));
}

/** What V8 says of an import. */
const shown = ({ module, name, kind }: ModuleImport) => ({ module, name, kind });

/** Reads, and lets pass only the refusal that is due to broken bytes. */
function readOrRefuse(bytes: Uint8Array): void {
  try {
    readModule(bytes, "random bytes");
  } catch (error) {
    assert(error instanceof SystemError && error.code === "module-invalid", String(error));
    assert.match(error.message, /^random bytes: broken Wasm module: found .+; expected .+/s);
  }
}

test("real modules: the imports and exports that V8 finds", async () => {
  for (const bytes of await builtModules()) {
    const { imports, exports, exportSection } = readModule(bytes, "a plugin");
    assert.deepEqual(
      { imports: imports.map(shown), exports: exports.map(({ name, kind }) => ({ name, kind })) },
      readByV8(bytes),
    );
    assert(exportSection);
    for (const { name, start, end } of exports)
      assert.equal(Buffer.from(bytes.subarray(start + 1, end)).toString(), name);
  }
});

test("every kind of import is read, as V8 reads it", () => {
  const imports = [
    [...text("m"), ...text("f"), 0, 0],
    [...text("m"), ...text("t"), 1, 0x70, 1, 1, 2],
    [...text("m"), ...text("mem"), 2, 1, 0x80, 0x00, 0x82, 0x80, 0x00],
    [...text("m"), ...text("g"), 3, 0x7f, 1],
    [...text("m"), ...text("tag"), 4, 0, 0],
  ];
  const bytes = moduleOf(section(1, [1, 0x60, 0, 0]), section(2, [imports.length, ...imports.flat()]));
  assert.deepEqual(readModule(bytes, "a module").imports.map(shown), readByV8(bytes).imports);
});

test("bytes that no module has are refused, whatever they are", () => {
  const body = fc.uint8Array({ maxLength: 200 }).map((bytes) => Uint8Array.from([...header, ...bytes]));
  fc.assert(fc.property(fc.oneof(body, fc.uint8Array({ maxLength: 20 })), readOrRefuse), {
    numRuns: fuzzRuns(2000),
  });
});

test("a module with bytes changed, or cut, is read or refused, and nothing else", async () => {
  const real = [...(await builtModules()), handMadeModule({ imports: ["env.proxy_log"] })];
  const changes = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...real), changes, fc.nat(4000), (module, changed, cut) => {
      const bytes = Uint8Array.from(module.subarray(0, cut));
      for (const [at, value] of changed) if (at < bytes.length) bytes[at] = value;
      readOrRefuse(bytes);
    }),
    { numRuns: fuzzRuns(500) },
  );
});

const broken: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ["nothing", new Uint8Array(), /no header of a Wasm module at byte 0 of 0; expected 00 61 73 6d/],
  [
    "a section's size missing",
    Uint8Array.from([...header, 7]),
    /the end at byte 9 of 9; expected another byte/,
  ],
  [
    "a section beyond the end",
    Uint8Array.from([...header, 7, 5, 0]),
    /section 7 of 5 bytes at byte 10 of 11; expected at most the 1 that are left/,
  ],
  ["LEB128 without end", moduleOf([7, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), /more than 32 bits at byte 9/],
  ["LEB128 of 33 bits", moduleOf([7, 0x80, 0x80, 0x80, 0x80, 0x10]), /more than 32 bits at byte 9/],
  ["a name beyond its section", moduleOf(section(7, [1, 9, 0x61])), /a name of 9 bytes at byte 12/],
  ["a name that is no text", moduleOf(section(7, [1, 1, 0xff, 0, 0])), /a name that is no UTF-8 at byte 12/],
  ["an unknown kind", moduleOf(section(7, [1, 1, 0x61, 9, 0])), /something of kind 9 .*function, table/],
  ["fewer entries than counted", moduleOf(section(7, [2, 1, 0x61, 0, 0])), /the end at byte 15/],
  ["more than counted", moduleOf(section(7, [0, 1])), /more after the 0 entries of section 7 at byte 11/],
  ["too many", moduleOf(section(2, [0xff, 0xff, 0xff, 0xff, 0x0f])), /4294967295 entries .* 100000 at most/],
  ["two of a kind", moduleOf(section(7, [0]), section(7, [0])), /section 7 a second time at byte 13/],
];
for (const [what, bytes, message] of broken) {
  test(`refused with its place: ${what}`, () => {
    assert.throws(() => readModule(bytes, "m"), { name: "SystemError", code: "module-invalid", message });
  });
}
