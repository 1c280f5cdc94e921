import { readFile, stat } from "node:fs/promises";
import type { PluginConfig } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import type { PluginHost, PluginModule } from "../proxy-wasm/index.ts";
import { SystemError } from "../system-error.ts";
import { dataBytes } from "./data-source.ts";
import { codeSource } from "./wasm-options.ts";

/** Where the modules of plugins come from. */
export interface ModuleSource {
  /**
   * The compiled module of a plugin.
   * @throws SystemError `disk`, `module-invalid`; RefusedConfig
   */
  load(config: PluginConfig, name: string): Promise<PluginModule>;
  /** Forgets the files of all plugins but these. */
  keep(configs: Iterable<PluginConfig>): void;
}

interface KnownFile {
  readonly key: string;
  readonly module: Promise<PluginModule>;
}

/** Modules from files, and from configurations that hold them. */
export function createModuleFiles({ compile }: Pick<PluginHost, "compile">): ModuleSource {
  const files = new Map<string, KnownFile>();
  return {
    async load(config, name) {
      const source = codeSource(config);
      if (source.specifier.case !== "filename") return compile(dataBytes(source), name);
      return loadFile(source.specifier.value);
    },
    keep(configs) {
      const paths = new Set([...configs].map(pathOf));
      for (const path of files.keys()) if (!paths.has(path)) files.delete(path);
    },
  };

  /** Agents keep modules under paths of their digests; a file that changes in place is another module all the same. */
  async function loadFile(path: string): Promise<PluginModule> {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const key = `${mtimeMs} ${size} ${ino}`;
      const known = files.get(path);
      if (known?.key === key) return await known.module;
      const module = readFile(path).then((bytes) => compile(bytes, path));
      files.set(path, { key, module });
      module.catch(() => files.delete(path));
      return await module;
    } catch (error) {
      throw SystemError.from(error, "disk", `reading the module ${path}`);
    }
  }
}

function pathOf({ vm }: PluginConfig): string | undefined {
  const code = vm.case === "vmConfig" ? vm.value.code?.specifier : undefined;
  const source = code?.case === "local" ? code.value.specifier : undefined;
  return source?.case === "filename" ? source.value : undefined;
}
