import assert from "node:assert/strict";
import { test } from "node:test";
import { assembleModule, body, number } from "../../test/peers/assemble-module.ts";
import { section, text } from "../../test/peers/hand-made-module.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { type Instance, runWasm } from "../../test/peers/run-wasm.ts";
import { asksForOldNames, withPropertyNames } from "./property-names.ts";
import { readModule } from "./read-module.ts";

const i32 = 0x7f;
const pathAt = 1000;

/** A plugin whose `ask` calls the host's `proxy_get_property`, with the old names among its data. */
const plugin = assembleModule({
  types: [[0x60, 4, i32, i32, i32, i32, 1, i32]],
  imports: [[...text("env"), ...text("proxy_get_property"), 0, 0]],
  functions: [[0]],
  memories: [[0, 1]],
  exports: [
    [...text("memory"), 2, 0],
    [...text("ask"), 0, 1],
  ],
  code: [body([0x20, 0, 0x20, 1, 0x20, 2, 0x20, 3, 0x10, 0])],
  data: [[0, 0x41, ...number(2000, 2), 0x0b, ...text("route_namecluster_name")]],
});
const adapted = withPropertyNames(plugin, readModule(plugin, "m"));

interface Question {
  readonly path: string;
  readonly rest: readonly number[];
}

/** Asks for a path, of a host that has some properties, and gives what the host was asked. */
function ask(module: Uint8Array, path: string, has: readonly string[] = []) {
  const questions: Question[] = [];
  let instance: Instance | undefined;
  const proxy_get_property = (at: number, size: number, ...rest: number[]) => {
    const asked = Buffer.from(instance!.memory().buffer, at, size).toString("latin1");
    questions.push({ path: asked, rest });
    return has.includes(asked) ? 0 : 1;
  };
  instance = runWasm(module, { env: { proxy_get_property } });
  const memory = new Uint8Array(instance.memory().buffer);
  memory.fill(0xab, 0, 200);
  memory.set(Buffer.from(path, "latin1"), pathAt);
  const before = Buffer.from(memory);
  const status = instance.functions.ask!(pathAt, path.length, 300, 304);
  assert.deepEqual(Buffer.from(memory), before, "the memory is as it was");
  return { status, questions };
}

const question = (path: string) => ({ path, rest: [300, 304] });

for (const name of ["route_name", "cluster_name"]) {
  test(`${name} is asked for below xds, and as it is only where that gives nothing`, () => {
    const here = { status: 0, questions: [question(`xds\0${name}`)] };
    assert.deepEqual(ask(adapted, name, [name, `xds\0${name}`]), here);
    const both = [question(`xds\0${name}`), question(name)];
    assert.deepEqual(ask(adapted, name, [name]), { status: 0, questions: both });
    assert.deepEqual(ask(adapted, name), { status: 1, questions: both });
  });
}

test("every other path is asked for as it is", () => {
  const near = ["route_name", "cluster_name"].flatMap((name) => {
    const changed = [...name].map((_, at) => `${name.slice(0, at)}~${name.slice(at + 1)}`);
    return [
      ...changed,
      `${name}s`,
      `${name}\0`,
      name.slice(1),
      name.slice(0, -1),
      `xds\0${name}`,
      name.toUpperCase(),
    ];
  });
  const paths = fc.oneof(fc.constantFrom(...near), fc.string({ unit: "binary-ascii", maxLength: 20 }));
  fc.assert(
    fc.property(paths, fc.boolean(), (path, isThere) => {
      fc.pre(path !== "route_name" && path !== "cluster_name");
      assert.deepEqual(ask(adapted, path, isThere ? [path] : []), ask(plugin, path, isThere ? [path] : []));
    }),
    { numRuns: fuzzRuns(500), examples: near.map((path) => [path, true] as [string, boolean]) },
  );
});

test("only a module that has a name and the function is looked into", () => {
  const asks = (bytes: Uint8Array) => asksForOldNames(bytes, readModule(bytes, "m"));
  assert(asks(plugin));
  const replaced = (from: string, to: string) =>
    Buffer.from(Buffer.from(plugin).toString("latin1").replaceAll(from, to), "latin1");
  assert(!asks(replaced("_name", "_nome")));
  assert(asks(replaced("route_name", "route_nome")));
  assert(!asks(replaced("proxy_get_property", "proxy_set_property")));
  assert(!asks(replaced("env", "enw")));
  const withText = (words: string, name = "t") =>
    Buffer.concat([
      replaced("_name", "_nome"),
      Buffer.from(section(0, [...text(name), ...Buffer.from(words, "utf16le")])),
    ]);
  assert(asks(withText("route_name")));
  assert(asks(withText("route_name", "at an even place or an odd one")));
  assert(asks(withText("route_name", "at an even place or an odd one.")));
  assert(asks(withText("cluster_name")));
  assert(!asks(withText("route_name xds")));
});
