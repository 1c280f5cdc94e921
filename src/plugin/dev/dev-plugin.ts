import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { ResourceError } from "../../resource/diagnostic.ts";
import type { JsonObject } from "../../resource/types.ts";
import { loadYaml } from "../../resource/yaml.ts";
import { errorText, SystemError } from "../../system-error.ts";
import { checkReport } from "../build-plugin.ts";
import { type CompiledPlugin, compilePlugin } from "../compile-plugin.ts";
import { inspectModule } from "../inspect-module.ts";
import { loadTests } from "../load-tests.ts";
import type { PluginSource } from "../plugin-source.ts";
import { readPluginSpec } from "../plugin-spec.ts";
import { describeFailures } from "../report.ts";
import type { RunCasesOptions } from "../run-cases.ts";
import { runTests } from "../run-tests.ts";
import type { CompileThread } from "./compile-thread.ts";
import { findTestFiles } from "./find-plugins.ts";

export interface DevPluginOptions {
  readonly source: PluginSource;
  readonly compiler: CompileThread;
  readonly startWorker: RunCasesOptions["startWorker"];
  /** Where modules are put that are to run. */
  readonly directory: string;
  /** Modules run also when their tests fail. */
  readonly swapAnyway: boolean;
  /** How long a test case may run in one piece. */
  readonly limitMs: number;
  /** What there is to tell, line by line. */
  readonly print: (line: string) => void;
  readonly env?: NodeJS.ProcessEnv;
}

/** What came of a look at a plugin's folder. */
export interface DevBuild {
  /** The module, as a `file://` URL that differs with its bytes. */
  readonly url: string;
  readonly builtMs: number;
}

/** A plugin that is being written. */
export interface DevPlugin {
  readonly name: string;
  readonly directory: string;
  readonly repository: string;
  /** What a WasmPlugin of it would say: phase and priority of spec.yaml, and its example. */
  readonly spec: JsonObject;
  /** The last module that may run. */
  readonly url: string | undefined;
  /**
   * Builds and tests the folder as it is now. Gives the module if it is another one and may run; what is wrong is printed,
   * and the last good one stays. When the signal aborts, nothing of it counts and nothing is printed.
   */
  build(signal: AbortSignal): Promise<DevBuild | undefined>;
  /** Removes modules that ran before the last one. */
  forgetOld(): Promise<void>;
}

export async function createDevPlugin(options: DevPluginOptions): Promise<DevPlugin> {
  const { source, print, limitMs, startWorker } = options;
  const { directory } = source;
  const name = relative(".", directory) || ".";
  const files = new Set<string>();
  let about = await readAbout(directory);
  let url: string | undefined;
  let file: string | undefined;
  return {
    name,
    directory,
    get repository() {
      return about.repository;
    },
    get spec() {
      return about.spec;
    },
    get url() {
      return url;
    },
    build,
    async forgetOld() {
      for (const old of files) {
        // What comes behind is being tested, maybe.
        if (old === file) return;
        files.delete(old);
        await rm(old, { force: true });
      }
    },
  };

  async function build(signal: AbortSignal): Promise<DevBuild | undefined> {
    const began = performance.now();
    try {
      about = await readAbout(directory);
      const compiled = await compile(options, signal);
      const path = await keep(compiled.wasm);
      if (signal.aborted) return undefined;
      const builtMs = Math.round(performance.now() - began);
      const passed = await runAll(path, builtMs, signal);
      if (signal.aborted || !(passed || options.swapAnyway)) return undefined;
      if (path === file) return undefined;
      file = path;
      url = pathToFileURL(path).href;
      return { url, builtMs };
    } catch (error) {
      if (!signal.aborted) report(error);
      return undefined;
    }
  }

  /** Puts a module where tests and agent read it. The same bytes are the same file. */
  async function keep(wasm: Uint8Array): Promise<string> {
    const digest = createHash("sha256").update(wasm).digest("hex").slice(0, 16);
    const path = join(options.directory, `${about.repository.replaceAll("/", "-")}-${digest}.wasm`);
    checkReport(inspectModule({ name, bytes: wasm }));
    await mkdir(options.directory, { recursive: true });
    await writeFile(path, wasm);
    files.delete(path);
    files.add(path);
    return path;
  }

  async function runAll(path: string, builtMs: number, signal: AbortSignal): Promise<boolean> {
    const tests = await loadTests(await findTestFiles(directory), path);
    if (tests.runs.length === 0) {
      print(`${name}: built in ${builtMs} ms; there are no tests in ${join(name, "test")}`);
      return true;
    }
    const began = performance.now();
    const { results } = await runTests(tests, { limitMs, startWorker, signal });
    if (signal.aborted) return false;
    const failed = results.filter(({ ok }) => !ok);
    for (const result of failed) for (const line of describeFailures(result)) print(line);
    const passed = `${results.length - failed.length} of ${results.length} cases passed in ${Math.round(performance.now() - began)} ms`;
    print(
      `${name}: built in ${builtMs} ms, ${passed}${failed.length > 0 && !options.swapAnyway ? kept() : ""}`,
    );
    return failed.length === 0;
  }

  function kept(): string {
    return url === undefined ? "; it is not in effect yet" : "; the last good one stays in effect";
  }

  function report(error: unknown): void {
    if (error instanceof ResourceError) print(error.message);
    else print(`error ${error instanceof SystemError ? error.code : "unknown"}: ${errorText(error)}`);
    print(`${name}: not built${kept()}`);
  }
}

function compile(
  { source, compiler, env }: DevPluginOptions,
  signal: AbortSignal,
): Promise<Pick<CompiledPlugin, "wasm">> {
  if (source.language === "assemblyscript") return compiler.compile(source.directory);
  return compilePlugin(source, { signal, env, optimize: false });
}

async function readAbout(
  directory: string,
): Promise<{ readonly repository: string; readonly spec: JsonObject }> {
  const { repository, spec } = await readPluginSpec(directory);
  return { repository, spec: wasmPluginOf(spec) };
}

/** A WasmPlugin's `spec` from the text of spec.yaml. */
function wasmPluginOf(text: string | undefined): JsonObject {
  const loaded = text === undefined ? undefined : loadYaml(text);
  const spec = loaded && "value" in loaded ? fieldOf(loaded.value, "spec") : undefined;
  const example = fieldOf(fieldOf(fieldOf(spec, "configSchema"), "openAPIV3Schema"), "example");
  const [phase, priority] = [fieldOf(spec, "phase"), fieldOf(spec, "priority")];
  return {
    ...(typeof phase === "string" && { phase }),
    ...(typeof priority === "number" && { priority }),
    ...(isObject(example) && { defaultConfig: example }),
  };
}

function fieldOf(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
