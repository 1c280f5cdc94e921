import { readFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type Diagnostic, ResourceError } from "../resource/diagnostic.ts";
import { errorText, SystemError } from "../system-error.ts";
import type { CompiledPlugin, CompileOptions } from "./compile-plugin.ts";

/** How plugins import the library. */
const libraryName = "@wasmline/plugin-sdk";
/** The library of this installation. */
const libraryFolder = fileURLToPath(new URL("../../sdk", import.meta.url));
/** Stands for the folder that the library's package would be in. There is no such folder: asc looks into it by our `readFile`. */
const packages = resolve("/", "packages-of-wasmline");
const installed = join(packages, libraryName) + sep;

/** asc, with a function that its types leave out. */
type Compiler = typeof import("assemblyscript/asc") & {
  configToArguments(options: object): string[];
};

interface AscMessage {
  readonly message: string;
  readonly code: number;
  readonly category: number;
  readonly range: {
    readonly start: number;
    readonly source: { readonly normalizedPath: string } | null;
  } | null;
}

/** asc's category of what is wrong, as opposed to what may be. */
const errorCategory = 3;

/**
 * Compiles `assembly/index.ts` of a folder with the compiler of this installation. `@wasmline/plugin-sdk` is that of a
 * `node_modules` from the folder upwards, or else that of this installation.
 */
export async function compileAssemblyScript(
  directory: string,
  { optimize = true }: CompileOptions = {},
): Promise<CompiledPlugin> {
  const asc = await loadCompiler();
  const options = [...(await readOptions(asc, directory, optimize)), `--path=${packages}`, "--noColors"];
  // The collector of the runtime `minimal`; the others do not look at it.
  asc.libraryFiles["rt/tcms"] = await readFile(join(libraryFolder, "runtime/collector.ts"), "utf8");
  const texts = new Map<string, string>();
  const messages: AscMessage[] = [];
  const outputs = new Map<string, unknown>();
  const { error, stderr } = await asc.main(
    [...["assembly/index.ts", "--outFile=plugin.wasm", `--baseDir=${resolve(directory)}`], ...options],
    {
      readFile: (name, base) => readSource(resolve(base, name), resolve(directory), texts),
      writeFile: (name, contents) => void outputs.set(name, contents),
      reportDiagnostic: (message) => void messages.push(message as unknown as AscMessage),
    },
  );
  const diagnostics = messages.map((message) => toDiagnostic(message, directory, texts));
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new ResourceError(errors);
  const wasm = outputs.get("plugin.wasm");
  if (error || !(wasm instanceof Uint8Array)) {
    const said = `${error ? errorText(error) : ""}\n${String(stderr)}`.trim();
    throw new SystemError("toolchain", `the AssemblyScript compiler failed on ${directory}: ${said}`, error);
  }
  return { wasm, toolchain: `AssemblyScript ${asc.version}`, warnings: diagnostics };
}

/** The compiler's options as the library's package recommends them; a plugin's own asconfig.json may choose another runtime. */
async function readOptions(asc: Compiler, directory: string, optimize: boolean): Promise<string[]> {
  const {
    runtime: recommended,
    stackSize,
    ...shared
  } = await readConfig(join(libraryFolder, "asconfig.json"));
  const { runtime = recommended } = await readConfig(join(directory, "asconfig.json"));
  return asc.configToArguments({
    ...shared,
    runtime,
    // The stack is that runtime's collector's.
    ...(runtime === recommended && { stackSize }),
    ...(!optimize && { optimizeLevel: 0, converge: false }),
  });
}

/** The options of an asconfig.json; none where there is no such file. */
async function readConfig(
  file: string,
): Promise<{ readonly runtime?: unknown; readonly stackSize?: unknown }> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "{}";
    throw SystemError.from(error, "disk", `reading ${file}`);
  });
  try {
    return (JSON.parse(text) as { options?: object }).options ?? {};
  } catch (error) {
    throw new SystemError("toolchain", `${file} is no JSON: ${errorText(error)}`, error);
  }
}

async function loadCompiler(): Promise<Compiler> {
  try {
    return (await import("assemblyscript/asc")) as Compiler;
  } catch (error) {
    const found = `no AssemblyScript compiler beside wasmline (${errorText(error)})`;
    throw new SystemError("toolchain", `${found}; run: npm install assemblyscript@0.28`, error);
  }
}

/** Reads what asc asks for, keeping the text by the name that asc's messages have for it. */
async function readSource(path: string, base: string, texts: Map<string, string>): Promise<string | null> {
  const inLibrary = path.startsWith(installed) ? path.slice(installed.length) : undefined;
  const file = inLibrary === undefined ? path : join(libraryFolder, inLibrary);
  const text = await readFile(file, "utf8").catch(() => null);
  if (text !== null) texts.set(nameOf(path, base).replaceAll(sep, "/"), text);
  return text;
}

function nameOf(path: string, base: string): string {
  for (const folder of [packages + sep, `${sep}node_modules${sep}`]) {
    const at = path.lastIndexOf(folder);
    if (at >= 0) return `~lib/${path.slice(at + folder.length)}`;
  }
  return relative(base, path);
}

function toDiagnostic(
  { message, code, category, range }: AscMessage,
  directory: string,
  texts: ReadonlyMap<string, string>,
): Diagnostic {
  const name = range?.source?.normalizedPath;
  const file = name === undefined || name.startsWith("~lib/") ? name : join(directory, name);
  const before = texts.get(name ?? "")?.slice(0, range?.start);
  const position = before && {
    line: before.split("\n").length,
    column: before.length - before.lastIndexOf("\n"),
  };
  const severity = category === errorCategory ? "error" : "warning";
  // asc numbers messages of its own and of TypeScript's in one series; below 1000 they are its own.
  const label = `${code < 1000 ? "AS" : "TS"}${code}`;
  return { severity, code: "COMPILE_ERROR", message: `${label}: ${message}`, at: { file, ...position } };
}
