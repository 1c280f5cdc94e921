import assert from "node:assert/strict";
import { once, setMaxListeners } from "node:events";
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  watch as watchEvents,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { firstValue, type Watchable } from "../watchable.ts";
import { formatDiagnostic } from "./diagnostic.ts";
import { watchDirectory } from "./directory-source.ts";
import type { SourceState } from "./source-state.ts";

const base = mkdtempSync(join(tmpdir(), "wasmline-source-"));
const ended = new AbortController();
setMaxListeners(0, ended.signal);
after(() => {
  ended.abort();
  rmSync(base, { recursive: true, force: true });
});

// Shorter than the rescan: what is waited for must come from an event.
const soon = () => AbortSignal.timeout(4000);

const plugin = (name: string, url = "oci://example.com/p:1") =>
  `apiVersion: extensions.higress.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: ${name}\nspec:\n  url: ${url}\n`;
const configMap = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;
const broken = "kind: [\n";

let count = 0;
function newDirectory(): string {
  const directory = join(base, `d${count++}`);
  mkdirSync(directory);
  return directory;
}

const watch = (...paths: string[]) => watchDirectory(paths, { signal: ended.signal });
const namesOf = ({ set }: SourceState) => set.wasmPlugins.map(({ metadata }) => metadata.name).join();
const urlsOf = ({ set }: SourceState) => set.wasmPlugins.map(({ spec }) => spec.url).join();
const codesOf = ({ diagnostics }: SourceState) => diagnostics.map(({ code }) => code).join();

const until = (state: Watchable<SourceState>, accept: (value: SourceState) => boolean) =>
  firstValue(state, accept, soon());
const untilNames = (state: Watchable<SourceState>, names: string) =>
  until(state, (value) => namesOf(value) === names);

/** All values from now on. */
function record(state: Watchable<SourceState>): SourceState[] {
  const values: SourceState[] = [];
  state.watch((value) => values.push(value), ended.signal);
  return values;
}

/** Does something to a directory, and resolves when whoever watches it has had the time to look. */
async function andSeen(directory: string, act: () => void): Promise<void> {
  const witness = watchEvents(directory);
  const event = once(witness, "change", { signal: soon() });
  act();
  await event;
  witness.close();
  for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

test("the first value holds all files below a directory, in the order of their names", async () => {
  const directory = newDirectory();
  mkdirSync(join(directory, "sub/deeper"), { recursive: true });
  mkdirSync(join(directory, ".git"));
  writeFileSync(join(directory, "b.yaml"), plugin("b"));
  writeFileSync(join(directory, "a.yml"), `${plugin("a")}---\n${configMap("c")}`);
  writeFileSync(
    join(directory, "sub/deeper/x.json"),
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}',
  );
  writeFileSync(join(directory, ".hidden.yaml"), plugin("hidden"));
  writeFileSync(join(directory, ".git/x.yaml"), plugin("hidden"));
  writeFileSync(join(directory, "README.md"), "# no resource");
  const { value } = await watch(directory);
  assert.equal(namesOf(value!), "a,b");
  assert.deepEqual(
    value!.set.configMaps.map(({ metadata }) => metadata.name),
    ["c", "x"],
  );
  assert.deepEqual(value!.diagnostics, []);
  assert.equal(value!.set.wasmPlugins[1]?.origin?.file, join(directory, "b.yaml"));
});

test("an atomic save is seen; what it did not touch keeps its identity", async () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "a.yaml"), plugin("a"));
  writeFileSync(join(directory, "b.yaml"), plugin("b"));
  writeFileSync(join(directory, "c.yaml"), configMap("c"));
  const state = await watch(directory);
  const before = state.value!;
  replaceFile(join(directory, "b.yaml"), plugin("b", "oci://example.com/new:1"));
  const next = await until(state, (value) => urlsOf(value).includes("new"));
  assert.equal(next.set.wasmPlugins[0], before.set.wasmPlugins[0]);
  assert.notEqual(next.set.wasmPlugins[1], before.set.wasmPlugins[1]);
  assert.equal(next.set.configMaps, before.set.configMaps);
  assert.equal(next.set.ingresses, before.set.ingresses);
  assert.equal(next.diagnostics, before.diagnostics);
});

test("a save of the same text is no new value", async () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "a.yaml"), plugin("a"));
  const state = await watch(directory);
  const values = record(state);
  replaceFile(join(directory, "a.yaml"), plugin("a"));
  writeFileSync(join(directory, "b.yaml"), plugin("b"));
  await untilNames(state, "a,b");
  assert(values.every((value) => value.set.wasmPlugins[0] === values[0]!.set.wasmPlugins[0]));
});

test("in-place writes, new files, new directories, deletion", async () => {
  const directory = newDirectory();
  const state = await watch(directory);
  assert.equal(namesOf(state.value!), "");
  writeFileSync(join(directory, "a.yaml"), plugin("a"));
  await untilNames(state, "a");
  appendFileSync(join(directory, "a.yaml"), `---\n${plugin("b")}`);
  await untilNames(state, "a,b");
  mkdirSync(join(directory, "x/y"), { recursive: true });
  writeFileSync(join(directory, "x/y/c.yaml"), plugin("c"));
  await untilNames(state, "a,b,c");
  writeFileSync(join(directory, "x/y/c.yaml"), plugin("d"));
  await untilNames(state, "a,b,d");
  unlinkSync(join(directory, "a.yaml"));
  await untilNames(state, "d");
  rmSync(join(directory, "x"), { recursive: true });
  await untilNames(state, "");
});

test("truncating and writing again never takes resources away", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  const text = `${plugin("a")}---\n${plugin("b")}`;
  writeFileSync(path, text);
  const state = await watch(directory);
  const values = record(state);
  for (let round = 1; round <= 5; round++) {
    const next = text.replaceAll("p:1", `p:${round + 1}`);
    let file = 0;
    await andSeen(directory, () => {
      file = openSync(path, "w");
    });
    await andSeen(directory, () => writeSync(file, next.slice(0, 40)));
    writeSync(file, next.slice(40));
    closeSync(file);
    await until(state, (value) => urlsOf(value).includes(`p:${round + 1}`));
  }
  assert(values.length > 5);
  assert.deepEqual([...new Set(values.map(namesOf))], ["a,b"]);
  assert.deepEqual([...new Set(values.map(codesOf))], [""]);
});

test("an editor that moves the file away before it writes a new one never takes resources away", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  writeFileSync(path, plugin("a"));
  const state = await watch(directory);
  const values = record(state);
  await andSeen(directory, () => renameSync(path, `${path}~`));
  writeFileSync(path, plugin("a", "oci://example.com/new:1"));
  await until(state, (value) => urlsOf(value).includes("new"));
  assert.deepEqual([...new Set(values.map(namesOf))], ["a"]);
});

test("a file that is emptied, or does not end in a newline, is believed in the end", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  writeFileSync(path, plugin("a"));
  writeFileSync(join(directory, "b.yaml"), plugin("b"));
  const state = await watch(directory);
  writeFileSync(path, plugin("c").trimEnd());
  await untilNames(state, "c,b");
  truncateSync(path, 0);
  await untilNames(state, "b");
  writeFileSync(path, `${plugin("d")}${"#".repeat(4095 - plugin("d").length)}\n`);
  await untilNames(state, "d,b");
  writeFileSync(path, `${plugin("e")}${"#".repeat(4095 - plugin("e").length)}\n`);
  await untilNames(state, "e,b");
});

test("while a file is broken, what it defined stays", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  writeFileSync(path, `${plugin("a")}---\n${plugin("b")}`);
  writeFileSync(join(directory, "z.yaml"), plugin("z"));
  const state = await watch(directory);
  const [a, b] = state.value!.set.wasmPlugins;
  replaceFile(path, `${plugin("a", "oci://example.com/new:1")}---\n${broken}---\n${plugin("c")}`);
  const next = await until(state, (value) => codesOf(value) !== "");
  assert.equal(namesOf(next), "a,c,b,z");
  assert.notEqual(next.set.wasmPlugins[0], a);
  assert.equal(next.set.wasmPlugins[2], b);
  assert.equal(codesOf(next), "YAML_SYNTAX,LAST_GOOD_KEPT");
  assert.match(
    formatDiagnostic(next.diagnostics[1]!),
    /a\.yaml:9:1: warning LAST_GOOD_KEPT: .*\(WasmPlugin higress-system\/b\)/,
  );
  replaceFile(path, `${plugin("a")}---\n${plugin("c")}`);
  const mended = await untilNames(state, "a,c,z");
  assert.equal(codesOf(mended), "");
});

test("a kept resource stays beside its own error until the file is deleted", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  writeFileSync(path, plugin("a"));
  const state = await watch(directory);
  replaceFile(path, `${configMap("c")}---\n${plugin("a")}  phase: x\n`);
  const next = await until(state, (value) => codesOf(value) !== "");
  assert.equal(namesOf(next), "a");
  assert.deepEqual(
    next.diagnostics.map(({ code, at }) => [code, at.line]),
    [
      ["INVALID_VALUE", 12],
      ["LAST_GOOD_KEPT", 12],
    ],
  );
  unlinkSync(path);
  const gone = await untilNames(state, "");
  assert.equal(codesOf(gone), "");
});

test("a file that cannot be read keeps its resources and says why", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  writeFileSync(path, plugin("a"));
  const state = await watch(directory);
  const [a] = state.value!.set.wasmPlugins;
  replaceFile(path, "");
  truncateSync(path, 65 * 1024 * 1024);
  const large = await until(state, (value) => codesOf(value) === "FILE_UNREADABLE,LAST_GOOD_KEPT");
  assert.equal(large.set.wasmPlugins[0], a);
  assert.match(large.diagnostics[0]!.message, /at most 67108864 are read/);
  writeFileSync(`${path}.tmp`, Buffer.from([0xff, 0xfe, 0x0a]));
  renameSync(`${path}.tmp`, path);
  await until(state, (value) => /not UTF-8/.test(value.diagnostics[0]?.message ?? ""));
  replaceFile(path, plugin("a"));
  const mended = await until(state, (value) => codesOf(value) === "");
  assert.equal(mended.set.wasmPlugins[0], a);
});

test("of two resources with one name the first file's wins, with a warning that names both places", async () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "b.yaml"), plugin("p", "oci://example.com/b:1"));
  const state = await watch(directory);
  writeFileSync(join(directory, "a.yaml"), `---\n${plugin("p", "oci://example.com/a:1")}`);
  const both = await until(state, (value) => codesOf(value) === "DUPLICATE_RESOURCE");
  assert.equal(urlsOf(both), "oci://example.com/a:1");
  const message = formatDiagnostic(both.diagnostics[0]!);
  assert.match(message, /b\.yaml:4:9: warning DUPLICATE_RESOURCE: .* already defined at .*a\.yaml:5,/);
  unlinkSync(join(directory, "a.yaml"));
  await until(state, (value) => urlsOf(value) === "oci://example.com/b:1" && codesOf(value) === "");
});

test("a file that is moved keeps its resources without a word", async () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "a.yaml"), plugin("p"));
  const state = await watch(directory);
  const values = record(state);
  renameSync(join(directory, "a.yaml"), join(directory, "b.yaml"));
  await until(state, (value) => value.set.wasmPlugins[0]?.origin?.file.endsWith("b.yaml") === true);
  assert(values.every((value) => namesOf(value) === "p" && codesOf(value) === ""));
});

test("a mounted ConfigMap: all files change with the swap of ..data", async () => {
  const directory = newDirectory();
  const version = (name: string, files: Record<string, string>) => {
    mkdirSync(join(directory, name));
    for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, name, file), text);
    symlinkSync(name, join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
  };
  version("..1", { "a.yaml": plugin("a"), "b.yaml": plugin("b") });
  symlinkSync("..data/a.yaml", join(directory, "a.yaml"));
  symlinkSync("..data/b.yaml", join(directory, "b.yaml"));
  const single = await watch(join(directory, "a.yaml"));
  const state = await watch(directory);
  assert.equal(namesOf(state.value!), "a,b");
  const values = record(state);
  version("..2", { "a.yaml": plugin("a", "oci://example.com/new:1"), "b.yaml": plugin("b") });
  rmSync(join(directory, "..1"), { recursive: true });
  const next = await until(state, (value) => urlsOf(value).includes("new"));
  assert.equal(next.set.wasmPlugins[1], values[0]!.set.wasmPlugins[1]);
  await until(single, (value) => urlsOf(value).includes("new"));
  version("..3", { "a.yaml": plugin("a"), "c.yaml": plugin("c") });
  symlinkSync("..data/c.yaml", join(directory, "c.yaml"));
  unlinkSync(join(directory, "b.yaml"));
  await untilNames(state, "a,c");
  assert(values.every((value) => namesOf(value).startsWith("a")));
});

test("the directory itself: missing, created, deleted, created again, replaced", async () => {
  const directory = join(newDirectory(), "not/yet/there");
  const state = await watch(directory);
  assert.equal(codesOf(state.value!), "FILE_UNREADABLE");
  assert.equal(state.value!.diagnostics[0]!.severity, "warning");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "a.yaml"), plugin("a"));
  const created = await untilNames(state, "a");
  assert.equal(codesOf(created), "");
  rmSync(directory, { recursive: true });
  await until(state, (value) => namesOf(value) === "" && codesOf(value) === "FILE_UNREADABLE");
  mkdirSync(directory);
  writeFileSync(join(directory, "b.yaml"), plugin("b"));
  await untilNames(state, "b");
  writeFileSync(join(directory, "c.yaml"), plugin("c"));
  await untilNames(state, "b,c");
  renameSync(directory, `${directory}.old`);
  mkdirSync(directory);
  writeFileSync(join(directory, "d.yaml"), plugin("d"));
  await untilNames(state, "d");
  writeFileSync(join(directory, "e.yaml"), plugin("e"));
  await untilNames(state, "d,e");
});

test("a directory behind a link that is swapped", async () => {
  const directory = newDirectory();
  for (const name of ["one", "two"]) {
    mkdirSync(join(directory, name));
    writeFileSync(join(directory, name, "p.yaml"), plugin(name));
  }
  const link = join(directory, "current");
  symlinkSync("one", link);
  const state = await watch(link);
  assert.equal(namesOf(state.value!), "one");
  symlinkSync("two", `${link}.tmp`);
  renameSync(`${link}.tmp`, link);
  await untilNames(state, "two");
  replaceFile(join(directory, "two/p.yaml"), plugin("three"));
  await untilNames(state, "three");
});

test("a single file: whatever its name, with nothing of its neighbours", async () => {
  const directory = newDirectory();
  const path = join(directory, "plugins.txt");
  writeFileSync(join(directory, "other.yaml"), plugin("other"));
  const state = await watch(path);
  assert.equal(codesOf(state.value!), "FILE_UNREADABLE");
  writeFileSync(path, plugin("a"));
  await untilNames(state, "a");
  replaceFile(path, plugin("b"));
  await untilNames(state, "b");
  unlinkSync(path);
  await untilNames(state, "");
  copyFileSync(join(directory, "other.yaml"), path);
  await untilNames(state, "other");
});

test("overlapping paths are read once, links that form a loop are left", async () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "a.yaml"), plugin("a"));
  symlinkSync(dirname(join(directory, "x")), join(directory, "loop"));
  const { value } = await watch(directory, join(directory, "a.yaml"));
  assert.equal(namesOf(value!), "a");
  assert.equal(codesOf(value!), "");
});

test("onChange is told of the first state and of each new one; the signal ends it", async () => {
  const directory = newDirectory();
  const stop = new AbortController();
  const told: string[] = [];
  const state = await watchDirectory([directory], {
    signal: stop.signal,
    defaultNamespace: "other",
    onChange: (value) => told.push(namesOf(value)),
  });
  writeFileSync(join(directory, "a.yaml"), plugin("a"));
  const next = await untilNames(state, "a");
  assert.equal(next.set.wasmPlugins[0]!.metadata.namespace, "other");
  assert.deepEqual(told, ["", "a"]);
  stop.abort();
  const witness = await watch(directory);
  writeFileSync(join(directory, "b.yaml"), plugin("b"));
  await untilNames(witness, "a,b");
  assert.equal(namesOf(state.value!), "a");
  await assert.rejects(watchDirectory([directory], { signal: stop.signal }), { name: "AbortError" });
});

test("a hundred saves in a row end with the last", async () => {
  const directory = newDirectory();
  const path = join(directory, "a.yaml");
  writeFileSync(path, plugin("a"));
  const state = await watch(directory);
  const values = record(state);
  for (let version = 2; version <= 101; version++) {
    if (version % 2) writeFileSync(path, plugin("a", `oci://example.com/p:${version}`));
    else replaceFile(path, plugin("a", `oci://example.com/p:${version}`));
    if (version % 10 === 0) await new Promise(setImmediate);
  }
  await until(state, (value) => urlsOf(value).endsWith(":101"));
  assert(values.every((value) => namesOf(value) === "a" && codesOf(value) === ""));
});
