import { fileURLToPath } from "node:url";
import { Host, loadModule, type PluginModule } from "./host.ts";

const root = new URL("../../", import.meta.url);

interface Builder {
  compileModule(entry: string, output: string): Promise<void>;
  buildModule(sourceFolder: string, entry: string, output: string): Promise<boolean>;
  buildPlugins(names?: readonly string[]): Promise<string[]>;
}

async function importBuilder(): Promise<Builder> {
  return (await import(new URL("scripts/build-plugins.mjs", root).href)) as Builder;
}

/** Builds a plugin of the repository if it is out of date; returns the module's path. */
export async function buildPlugin(name: string): Promise<string> {
  const [module] = await (await importBuilder()).buildPlugins([name]);
  return fileURLToPath(new URL(module!, root));
}

/** Compiles one module; returns its path. */
export async function compileModule(entry: string, output: string): Promise<string> {
  await (await importBuilder()).compileModule(entry, output);
  return fileURLToPath(new URL(output, root));
}

/** Builds the test plugin, which reports the rule that matched and echoes JSON. */
export async function buildFixture(): Promise<string> {
  const output = "build/test/sdk-fixture.wasm";
  await (await importBuilder()).buildModule("sdk/fixture", "sdk/fixture/index.ts", output);
  return fileURLToPath(new URL(output, root));
}

/** Reads a file of vectors. */
export async function readVectors<T>(name: string): Promise<T> {
  const { readFile } = await import("node:fs/promises");
  return JSON.parse(await readFile(new URL(`test/vectors/${name}.json`, root), "utf8")) as T;
}

/** Builds a plugin of the repository if it is out of date, and compiles its module. */
export async function loadPlugin(name: string): Promise<PluginModule> {
  return loadModule(await buildPlugin(name));
}

/** Starts a module, or says in the error why it refused. */
export function startHost(module: PluginModule, config: unknown): Host {
  const host = new Host(module);
  if (!host.start(config)) throw new Error(`plugin did not start: ${host.logs.join("; ")}`);
  host.asked.length = 0;
  return host;
}
