import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { type Diagnostic, ResourceError } from "../resource/diagnostic.ts";
import { SystemError } from "../system-error.ts";
import type { CaseRun, NamedModule } from "./job.ts";
import { loadModule } from "./load-module.ts";
import { type PluginTestFile, parseTestFile } from "./test-file.ts";

/** What test files say, ready to be run. */
export interface LoadedTests {
  readonly runs: readonly CaseRun[];
  /** Each module once. */
  readonly modules: readonly NamedModule[];
}

/**
 * Reads test files with the modules that they name, or with the given one in their place.
 * @throws ResourceError with all that is wrong with the files; SystemError as `loadModule`
 */
export async function loadTests(
  files: readonly string[],
  module: string | undefined,
  options: RegistryClientOptions = {},
): Promise<LoadedTests> {
  const read = await Promise.all(files.map(readTests));
  const diagnostics = read.flatMap((each) => each.diagnostics);
  if (diagnostics.length > 0) throw new ResourceError(diagnostics);
  const modules = new Map<string, NamedModule>();
  const runs: CaseRun[] = [];
  for (const tests of read.flatMap((each) => each.tests ?? [])) {
    const { text, folder } = placeOf(tests, module);
    const key = `${folder}\0${text}`;
    const loaded = modules.get(key) ?? (await loadModule(text, folder, options));
    modules.set(key, loaded);
    const { file, vmConfig, env } = tests;
    runs.push(...tests.cases.map((test) => ({ file, module: loaded, vmConfig, env, test })));
  }
  return { runs, modules: [...modules.values()] };
}

/** The files that decide what runs: those with tests, and modules that are files. */
export async function testInputs(files: readonly string[], module: string | undefined): Promise<string[]> {
  const read = await Promise.all(files.map((file) => readTests(file).catch(() => undefined)));
  const modules = read.flatMap((each) => {
    const text = module ?? each?.tests?.module;
    if (text === undefined || text.startsWith("oci://")) return [];
    return [module === undefined ? resolve(dirname(each!.tests!.file), text) : resolve(text)];
  });
  return [...new Set([...files.map((file) => resolve(file)), ...modules])];
}

function placeOf(tests: PluginTestFile, module: string | undefined) {
  if (module !== undefined) return { text: module, folder: "." };
  if (tests.module !== undefined) return { text: tests.module, folder: dirname(tests.file) };
  const message = "the file names no module; expected one here, or --wasm";
  const at = { file: tests.file, line: 1, column: 1 };
  throw new ResourceError([{ severity: "error", code: "MISSING_FIELD", message, at }]);
}

async function readTests(
  file: string,
): Promise<{ readonly tests?: PluginTestFile; readonly diagnostics: readonly Diagnostic[] }> {
  try {
    return parseTestFile(await readFile(file, "utf8"), file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === "ENOENT" ? "not-found" : "disk";
    throw SystemError.from(error, code, `reading the tests in ${file}`);
  }
}
