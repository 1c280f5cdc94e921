import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assembleModule, body } from "../../test/peers/assemble-module.ts";
import { handMadeModule, text } from "../../test/peers/hand-made-module.ts";
import { markedForHigress } from "../../test/peers/higress-module.ts";
import { readByV8 } from "../../test/peers/read-by-v8.ts";
import { adaptationTarget, adaptModule, getsHeldBodies, heldBodies, propertyNames } from "./adapt-module.ts";
import { readModule } from "./read-module.ts";

const plugins = fileURLToPath(new URL("../../build/plugins/", import.meta.url));
const higress = "proxy_abi_version_0_2_100";

function refusal(message: RegExp) {
  return { name: "SystemError", code: "module-invalid", message };
}

/** A plugin of ours that has Higress' marker before the stock one. */
const twoMarkers = "transformer.wasm";

async function builtModules(): Promise<readonly Uint8Array[]> {
  const names = (await readdir(plugins)).filter((name) => name.endsWith(".wasm") && name !== twoMarkers);
  assert(names.length > 0, `no modules in ${plugins}`);
  return Promise.all(names.map((name) => readFile(plugins + name)));
}

test("a module of a stock ABI stays as it is", async () => {
  for (const bytes of [...(await builtModules()), handMadeModule()]) {
    const result = adaptModule(bytes, "m", "stock");
    assert.equal(result.bytes, bytes);
    assert.deepEqual([result.adaptations, result.missingImports], [[], []]);
  }
});

test("Higress' marker becomes that of 0.2.1, and every other byte stays", async () => {
  for (const bytes of await builtModules()) {
    const marked = markedForHigress(bytes);
    assert.equal(marked.length, bytes.length + 2);
    const result = adaptModule(marked, "m", "stock");
    assert.deepEqual(result.adaptations, ["marker"]);
    assert.deepEqual(Buffer.from(result.bytes), Buffer.from(bytes));
  }
});

test("the export section's length shrinks by a byte where its LEB128 does", () => {
  // 127 and 129 bytes are on two sides of what one byte of LEB128 says.
  for (const padding of Array.from({ length: 60 }, (_, index) => `pad${"x".repeat(index + 40)}`)) {
    const marked = handMadeModule({ markers: [padding, higress] });
    const { bytes } = adaptModule(marked, "m", "stock");
    const wanted = handMadeModule({ markers: [padding, "proxy_abi_version_0_2_1"] });
    assert.deepEqual(Buffer.from(bytes), Buffer.from(wanted));
    assert.deepEqual(readByV8(bytes).exports.at(-1), { name: "proxy_abi_version_0_2_1", kind: "function" });
  }
});

test("a section's length that is written in five bytes, as Go's linker does, becomes as short as it can be", () => {
  const marked = handMadeModule({ markers: [higress] });
  const { sizeAt, start, end } = readModule(marked, "m").exportSection!;
  assert(end - start < 0x80);
  const padded = Uint8Array.from([
    ...marked.subarray(0, sizeAt),
    ...[(end - start) | 0x80, 0x80, 0x80, 0x80, 0x00],
    ...marked.subarray(start),
  ]);
  assert.deepEqual(readByV8(padded), readByV8(marked));
  assert.deepEqual(Buffer.from(adaptModule(padded, "m", "stock").bytes), Buffer.from(handMadeModule()));
});

test("for Higress' Envoy nothing is changed, and its imports are allowed", () => {
  const bytes = handMadeModule({ markers: [higress], imports: ["env.proxy_redis_init"] });
  const result = adaptModule(bytes, "m", "higress");
  assert.equal(result.bytes, bytes);
  assert.deepEqual(result.missingImports, ["env.proxy_redis_init"]);
  assert.throws(
    () => adaptModule(handMadeModule({ imports: ["env.nobody_has_it"] }), "m", "higress"),
    refusal(/^m imports what Higress' Envoy does not have: env\.nobody_has_it; build it/),
  );
});

test("a module with a stock marker beside Higress' needs no other", () => {
  const bytes = handMadeModule({ markers: ["proxy_abi_version_0_2_0", higress] });
  assert.deepEqual(adaptModule(bytes, "m", "stock").adaptations, []);
});

test("a module with Higress' marker before a stock one stays as it is, and gets bodies as in Higress", async () => {
  for (const bytes of [
    handMadeModule({ markers: [higress, "proxy_abi_version_0_2_0"] }),
    await readFile(plugins + twoMarkers),
  ]) {
    const result = adaptModule(bytes, "m", "stock");
    assert.equal(result.bytes, bytes);
    assert.deepEqual(result.adaptations, [heldBodies]);
    assert.deepEqual(adaptModule(bytes, "m", "higress").adaptations, []);
  }
  const getting = [["marker"], [heldBodies], [propertyNames]].map(getsHeldBodies);
  assert.deepEqual(getting, [true, true, false]);
});

test("imports that only Higress has are named", () => {
  const imports = ["env.proxy_log", "env.proxy_redis_init", "env.proxy_redis_call"];
  assert.throws(
    () => adaptModule(handMadeModule({ markers: [higress], imports }), "layer 1", "stock"),
    refusal(/^layer 1 imports .*: env\.proxy_redis_init, env\.proxy_redis_call; it needs Higress' Envoy/),
  );
});

test("imports of another ABI than the marker's are refused", () => {
  const imports = ["env.proxy_clear_route_cache"];
  assert.throws(
    () => adaptModule(handMadeModule({ imports }), "m", "stock"),
    refusal(
      /a stock Envoy does not have: env\.proxy_clear_route_cache; build it for the functions of the ABI/,
    ),
  );
  const module = handMadeModule({ markers: ["proxy_abi_version_0_1_0"], imports });
  assert.deepEqual(adaptModule(module, "m", "stock").missingImports, []);
});

test("the names of imports come into messages bounded, and without control characters", () => {
  const imports = Array.from({ length: 12 }, (_, index) => `env.\n${index}${"x".repeat(1000)}`);
  assert.throws(
    () => adaptModule(handMadeModule({ imports }), "m", "stock"),
    (error: Error) =>
      error.message.length < 1500 && / and 2 more;/.test(error.message) && !/\n/.test(error.message),
  );
});

test("a module without a marker that Envoy knows is refused", () => {
  assert.throws(
    () => adaptModule(handMadeModule({ markers: [] }), "m", "stock"),
    refusal(/found no ABI marker among its 1 exported functions; expected one of proxy_abi_version_0_1_0, /),
  );
  assert.throws(
    () => adaptModule(handMadeModule({ markers: ["proxy_abi_version_0_9_0"] }), "m", "stock"),
    refusal(/found only proxy_abi_version_0_9_0 in its 2 exported functions/),
  );
});

test("a module that gives no memory, or nothing to allocate with, is refused", () => {
  const both = handMadeModule({ memory: "", allocator: "" });
  assert.throws(
    () => adaptModule(both, "m", "stock"),
    refusal(/does not export its memory \(`memory`\) and a function `malloc` or `proxy_on_memory_allocate`/),
  );
  assert.throws(
    () => adaptModule(handMadeModule({ allocator: "" }), "m", "stock"),
    refusal(/does not export a function `malloc`/),
  );
  assert.deepEqual(adaptModule(handMadeModule({ memory: "mem" }), "m", "stock").adaptations, []);
  const older = handMadeModule({ allocator: "proxy_on_memory_allocate" });
  assert.deepEqual(readModule(adaptModule(older, "m", "stock").bytes, "m").imports, []);
});

/** Calls `env.proxy_get_property`, and has a path among its data; the code may be replaced. */
function askingModule(code: readonly number[] = [0x20, 0, 0x20, 0, 0x20, 0, 0x20, 0, 0x10, 0]): Uint8Array {
  const i32 = 0x7f;
  return assembleModule({
    types: [
      [0x60, 4, i32, i32, i32, i32, 1, i32],
      [0x60, 1, i32, 1, i32],
    ],
    imports: [[...text("env"), ...text("proxy_get_property"), 0, 0]],
    functions: [[1]],
    memories: [[0, 1]],
    exports: [
      [...text("memory"), 2, 0],
      [...text("malloc"), 0, 1],
      [...text(higress), 0, 1],
    ],
    code: [body(code)],
    data: [[0, 0x41, 0, 0x0b, ...text("route_name")]],
  });
}

test("a module that asks for a property by its old name is adapted, on a stock Envoy only", () => {
  const bytes = askingModule();
  const result = adaptModule(bytes, "m", "stock");
  assert.deepEqual([result.adaptations, result.warning], [["marker", "property names"], undefined]);
  const { imports, exports } = readByV8(result.bytes);
  assert.deepEqual(imports, readByV8(bytes).imports);
  assert.deepEqual(exports.at(-1), { name: "proxy_abi_version_0_2_1", kind: "function" });
  assert.equal(adaptModule(bytes, "m", "higress").bytes, bytes);
  assert.notEqual(adaptationTarget("stock"), adaptationTarget("higress"));
});

test("a module that cannot be rewritten keeps its code, with a warning that says what follows", () => {
  const result = adaptModule(askingModule([0xfb, 0x00, 0x00]), "m", "stock");
  assert.deepEqual(result.adaptations, ["marker"]);
  assert.match(
    result.warning ?? "",
    /^rules by route and by service will match nothing: an unknown instruction \(fb 00 00\) at byte \d+$/,
  );
  assert.match(Buffer.from(result.bytes).toString("latin1"), /proxy_abi_version_0_2_1\0/);
});
