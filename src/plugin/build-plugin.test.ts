import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { goEnvironment } from "../../test/peers/go.ts";
import { readLayout } from "../oci/image-layout.ts";
import { type Diagnostic, ResourceError } from "../resource/diagnostic.ts";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { buildPlugin } from "./build-plugin.ts";
import { compilePlugin } from "./compile-plugin.ts";
import { findImageToPush } from "./image-to-push.ts";
import { newPlugin } from "./new-plugin.ts";
import { findPluginSource, type PluginLanguage } from "./plugin-source.ts";

let root = "";
before(async () => {
  root = await mkdtemp(join(tmpdir(), "build-plugin-"));
});
after(() => rm(root, { recursive: true }));

/** A folder with these files. */
async function folder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name, path)), { recursive: true });
    await writeFile(join(root, name, path), text);
  }
  return join(root, name);
}

async function makeNew(name: string, language: PluginLanguage): Promise<string> {
  const directory = join(root, name);
  await newPlugin({ name, language, directory });
  return directory;
}

/** A PATH that begins with programs which print this, and end so. */
async function withPrograms(name: string, programs: Readonly<Record<string, string>>) {
  const directory = await folder(
    name,
    Object.fromEntries(Object.entries(programs).map(([program, body]) => [program, `#!/bin/sh\n${body}\n`])),
  );
  for (const program of Object.keys(programs)) await chmod(join(directory, program), 0o755);
  return { env: { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH}` } };
}

async function diagnosticsOf(building: Promise<unknown>): Promise<readonly Diagnostic[]> {
  const error = await building.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof ResourceError, String(error));
  return error.diagnostics;
}

function refused(code: SystemErrorCode, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test("an icon that is no PNG is refused before anything is compiled", async () => {
  const directory = await folder("icon", { "go.mod": "", "icon.png": "GIF89a" });
  const [problem] = await diagnosticsOf(buildPlugin(directory));
  assert.equal(problem?.message, "found no PNG; expected a PNG of at most 1048576 bytes: consoles show it");
});

test("a new AssemblyScript plugin builds as it is, and again to the same image", async () => {
  const directory = await makeNew("fresh", "assemblyscript");
  const built = await buildPlugin(directory);
  assert.deepEqual(built.warnings, []);
  assert.equal(built.image, "fresh:0.1.0");
  assert.equal(built.report.sdk.name, "Wasmline's AssemblyScript library");
  assert.deepEqual([built.report.abi, built.report.gateways.stock.loads], [["0.2.1"], true]);
  assert.deepEqual(
    readLayout(built.layout).map(({ name, descriptor }) => [name, descriptor.digest]),
    [["fresh:0.1.0", built.digest]],
  );
  assert.equal((await buildPlugin(directory)).digest, built.digest);
  const image = await findImageToPush(directory);
  assert.deepEqual([image.descriptor.digest, image.blobs.length], [built.digest, 4]);
  assert.equal((await findImageToPush(built.layout)).descriptor.digest, built.digest);
});

test("AssemblyScript: what does not compile is said by its place", async () => {
  const directory = await makeNew("as-broken", "assemblyscript");
  const file = join(directory, "assembly/index.ts");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("bool", "boole"));
  const errors = await diagnosticsOf(compilePlugin(await findPluginSource(directory)));
  assert.deepEqual(
    errors.map(({ message, at: { line, column } }) => [message, line, column]),
    [["TS2304: Cannot find name 'boole'.", 26, 33]],
  );
  assert.equal(errors[0]?.at.file, file);
  await writeFile(file, text.replace("import {", 'import { nothing } from "./nowhere";\nimport {'));
  const missing = await diagnosticsOf(compilePlugin(await findPluginSource(directory)));
  assert.match(missing[0]!.message, /File '\S*nowhere\.ts' not found/);
  assert.deepEqual([missing[0]?.at.line, missing[0]?.at.column], [1, 25]);
});

test("AssemblyScript: a library beside the plugin goes before the installation's", async () => {
  const directory = await makeNew("as-own", "assemblyscript");
  const library = "node_modules/@wasmline/plugin-sdk/assembly";
  await folder("as-own", { [`${library}/index.ts`]: "\nexport let own: unheard = 1;\n" });
  const errors = await diagnosticsOf(compilePlugin(await findPluginSource(directory)));
  const { message, at } = errors.find(({ message }) => message.includes("unheard"))!;
  assert.equal(message, "TS2304: Cannot find name 'unheard'.");
  assert.deepEqual(at, { file: "~lib/@wasmline/plugin-sdk/assembly/index.ts", line: 2, column: 17 });
});

test("Go: what does not compile is said by its place", async () => {
  const env = { env: await goEnvironment() };
  const main = "package main\n\nfunc main() {\n\tvar unused int\n\tmissing()\n}\n";
  const directory = await folder("go-broken", { "go.mod": "module a\n\ngo 1.24\n", "main.go": main });
  const errors = await diagnosticsOf(compilePlugin(await findPluginSource(directory), env));
  assert.deepEqual(
    errors.map(({ message, at: { file, line, column } }) => [message, file, line, column]),
    [
      ["declared and not used: unused", join(directory, "main.go"), 4, 6],
      ["undefined: missing", join(directory, "main.go"), 5, 2],
    ],
  );
  await writeFile(
    join(directory, "main.go"),
    'package main\n\nimport _ "example.invalid/none"\n\nfunc main() {}\n',
  );
  const [absent] = await diagnosticsOf(compilePlugin(await findPluginSource(directory), env));
  assert.match(
    absent!.message,
    /no required module provides package example\.invalid\/none; to add it:\s+go get/,
  );
});

const cargo =
  '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n\n[lib]\ncrate-type = ["cdylib"]\n';

test("Rust: what does not compile is said by its place", async () => {
  const source = "pub fn a() -> u32 {\n    let used = 1;\n    usde\n}\n";
  const directory = await folder("rust-broken", { "Cargo.toml": cargo, "src/lib.rs": source });
  const [error] = await diagnosticsOf(compilePlugin(await findPluginSource(directory)));
  assert.match(error!.message, /^E0425: cannot find value `usde` in this scope/);
  assert.deepEqual(error!.at, { file: join(directory, "src/lib.rs"), line: 3, column: 5 });
  assert.match(error!.hint!, /similar name/);
});

test("a module that is no plugin is not packed", async () => {
  const directory = await folder("rust-empty", { "Cargo.toml": cargo, "src/lib.rs": "" });
  await assert.rejects(
    buildPlugin(directory),
    refused("module-invalid", /build\/plugin\.wasm was compiled, and no gateway takes it: .*no ABI marker/),
  );
  await assert.rejects(findImageToPush(directory), refused("not-found", /run wasmline plugin build/));
});

test("toolchains that are missing, too old or broken are explained", async () => {
  const go = await findPluginSource(await folder("go-none", { "go.mod": "module a\n" }));
  const rust = await findPluginSource(await folder("rust-none", { "Cargo.toml": cargo, "src/lib.rs": "" }));
  const nothing = { env: { PATH: join(root, "go-none") } };
  await assert.rejects(
    compilePlugin(go, nothing),
    refused("toolchain", /^go is not in PATH; install Go 1\.24/),
  );
  await assert.rejects(
    compilePlugin(rust, nothing),
    refused("toolchain", /^rustc is not in PATH; install Rust/),
  );
  const old = await withPrograms("old", { go: "echo go1.21.3", rustc: "echo rustc 1.70.0" });
  await assert.rejects(
    compilePlugin(go, old),
    refused(
      "toolchain",
      /^go is too old: found "go1\.21\.3", wanted 1\.24 or later; .*c-shared.*go\.dev\/dl/,
    ),
  );
  await assert.rejects(
    compilePlugin(rust, old),
    refused("toolchain", /^rustc is too old: found "rustc 1\.70\.0", wanted 1\.78 or later; .*rustup update/),
  );
  const bare = await withPrograms("bare", {
    rustc: '[ "$1" = --version ] && echo rustc 1.90.0 || echo /nowhere',
  });
  await assert.rejects(
    compilePlugin(rust, bare),
    refused(
      "toolchain",
      /no library for wasm32-wasip1: .*\/nowhere\/.*; run: rustup target add wasm32-wasip1/,
    ),
  );
  const broken = await withPrograms("broken", {
    go: '[ "$1" = env ] && echo go1.26.1 && exit\necho go: no space left >&2; exit 1',
  });
  await assert.rejects(
    compilePlugin(go, broken),
    refused("toolchain", /go build failed in .*\ngo: no space left/),
  );
});

test("what is wrong with a folder or its spec.yaml", async () => {
  await assert.rejects(
    findPluginSource(await folder("none", { "a.txt": "" })),
    refused("not-found", /is no plugin's folder: found none of them; expected one of assembly\/index\.ts/),
  );
  const both = await folder("both", { "go.mod": "", "Cargo.toml": "" });
  await assert.rejects(findPluginSource(both), refused("not-found", /found go\.mod and Cargo\.toml/));
  const spec = await folder("spec", { "go.mod": "", "spec.yaml": "info:\n  name: Not Good\n" });
  assert.deepEqual(
    (await diagnosticsOf(buildPlugin(spec))).map(({ code, at: { line, column } }) => [code, line, column]),
    [
      ["INVALID_VALUE", 2, 9],
      ["MISSING_FIELD", 1, 1],
    ],
  );
  await writeFile(join(spec, "spec.yaml"), "info: [\n");
  assert.equal((await diagnosticsOf(buildPlugin(spec)))[0]?.code, "YAML_SYNTAX");
});

test("a new plugin needs a name that fits everywhere, and a folder of its own", async () => {
  for (const name of ["", "A", "a_b", "-a", "a--b", "a-", "1a", "a".repeat(64)]) {
    const directory = join(root, "named");
    await assert.rejects(
      newPlugin({ name, language: "go", directory }),
      refused("reference-invalid", /no plugin's name: .*expected lower case letters/),
    );
  }
  const taken = await folder("taken", { "mine.txt": "mine" });
  await assert.rejects(
    newPlugin({ name: "taken", language: "rust", directory: taken }),
    refused("disk", /is not empty: found mine\.txt/),
  );
});
