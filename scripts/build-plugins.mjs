// Builds every plugins/*/assembly/index.ts with the library in sdk/ to build/plugins/<name>.wasm.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const compilerConfig = join(root, "sdk/asconfig.json");
/** What runs between callbacks, in the place of the collector that AssemblyScript has for this runtime. */
const runtime = "minimal";
/** What asc calls the module that it hands over. */
const outFile = "plugin.wasm";
const collector = join(root, "sdk/runtime/collector.ts");
/** Where asc looks for the library's package; there is no such folder, the library is read in its place. */
const packages = join(root, "build/packages");
const library = join(packages, "@wasmline/plugin-sdk");

/**
 * Compiles one module; `entry` and `output` are paths below the repository's root. The module names its sources by their
 * paths below `folder`. Throws with the compiler's messages when the source is wrong. The output appears whole or not at
 * all.
 */
export async function compileModule(entry, output, folder = ".") {
  const { configToArguments, libraryFiles, main } = await import("assemblyscript/asc");
  // The stack is the incremental collector's.
  const { stackSize: _, ...shared } = JSON.parse(await readFile(compilerConfig, "utf8")).options;
  libraryFiles["rt/tcms"] = await readFile(collector, "utf8");
  const places = [`--outFile=${outFile}`, `--path=${packages}`, `--baseDir=${join(root, folder)}`];
  const outputs = new Map();
  const { error, stderr } = await main(
    [relative(folder, entry), ...places, ...configToArguments({ ...shared, runtime })],
    {
      readFile: readSource,
      writeFile: (name, contents) => void outputs.set(name, contents),
    },
  );
  const wasm = outputs.get(outFile);
  if (error || !wasm) throw new Error(`${entry} does not compile\n${stderr}`, { cause: error ?? undefined });
  await writeWhole(join(root, output), wasm);
}

async function readSource(name, base) {
  const path = resolve(base, name);
  const inLibrary = path.startsWith(library + sep) ? join(root, "sdk", path.slice(library.length)) : path;
  return readFile(inLibrary, "utf8").catch(() => null);
}

async function writeWhole(file, contents) {
  await mkdir(dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}`;
  try {
    await writeFile(partial, contents);
    await rename(partial, file);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Compiles a module unless its output is newer than all its sources, the library and this script. Returns whether it did. */
export async function buildModule(sourceFolder, entry, output, folder = ".") {
  const folders = [join(root, sourceFolder), join(root, "sdk/assembly")];
  const sources = [...folders, compilerConfig, collector, fileURLToPath(import.meta.url)];
  const changed = Math.max(...(await Promise.all(sources.map(newestChange))));
  const built = existsSync(join(root, output)) ? (await stat(join(root, output))).mtimeMs : 0;
  if (built > changed) return false;
  await compileModule(entry, output, folder);
  return true;
}

async function newestChange(path) {
  const entry = await stat(path);
  if (!entry.isDirectory()) return entry.mtimeMs;
  const children = await readdir(path);
  return Math.max(0, ...(await Promise.all(children.map((child) => newestChange(join(path, child))))));
}

/** Builds all plugins, or those with these names; returns the path of each module below the repository's root. */
export async function buildPlugins(names) {
  const modules = [];
  for (const name of names ?? (await listPlugins())) {
    const output = `build/plugins/${name}.wasm`;
    const entry = `plugins/${name}/assembly/index.ts`;
    await buildModule(`plugins/${name}/assembly`, entry, output, `plugins/${name}`);
    modules.push(output);
  }
  return modules;
}

/** Names of the plugins in the repository. */
export async function listPlugins() {
  const names = await readdir(join(root, "plugins"));
  return names.filter((name) => existsSync(join(root, "plugins", name, "assembly/index.ts"))).sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const module of await buildPlugins()) {
    console.log(`${relative(root, join(root, module))} ${(await stat(join(root, module))).size} bytes`);
  }
}
