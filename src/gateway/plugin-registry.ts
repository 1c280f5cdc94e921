import type { Plugin, PluginHost } from "../proxy-wasm/index.ts";
import { errorText } from "../system-error.ts";
import type { FilterConfig } from "./gateway-config.ts";
import { createModuleFiles, type ModuleSource } from "./module-files.ts";
import { pluginOptions } from "./wasm-options.ts";

export type WasmFilterConfig = Extract<FilterConfig, { readonly kind: "wasm" }>;

/** The plugins of one thread, by the configuration that made each: the same object is the same plugin. */
export interface PluginRegistry {
  /**
   * Loads, starts and configures a plugin, once for each configuration.
   * @throws SystemError `disk`, `module-invalid`, `plugin-start`; RefusedConfig
   */
  start(config: WasmFilterConfig): Promise<Plugin>;
  /** The plugin, if it runs. */
  find(config: WasmFilterConfig): Plugin | undefined;
  /** Why the plugin does not run, if it was tried. */
  refusal(config: WasmFilterConfig): string | undefined;
  /** Closes all plugins but these; streams that have begun with them end with them. */
  keep(configs: ReadonlySet<WasmFilterConfig>): void;
  close(): void;
}

interface Entry {
  readonly started: Promise<Plugin>;
  plugin: Plugin | undefined;
  refusal: string | undefined;
  dropped: boolean;
}

export function createPluginRegistry(
  host: PluginHost,
  modules: ModuleSource = createModuleFiles(host),
): PluginRegistry {
  const entries = new Map<WasmFilterConfig, Entry>();
  return {
    start: (config) => (entries.get(config) ?? begin(config)).started,
    find: (config) => entries.get(config)?.plugin,
    refusal: (config) => entries.get(config)?.refusal,
    keep,
    close: () => keep(new Set()),
  };

  function begin(config: WasmFilterConfig): Entry {
    const entry: Entry = {
      started: startPlugin(config),
      plugin: undefined,
      refusal: undefined,
      dropped: false,
    };
    entries.set(config, entry);
    entry.started.then(
      (plugin) => {
        entry.plugin = plugin;
        if (entry.dropped) plugin.close();
      },
      (error) => {
        entry.refusal = errorText(error);
      },
    );
    return entry;
  }

  async function startPlugin({ name, config: { config } }: WasmFilterConfig): Promise<Plugin> {
    const options = pluginOptions(name, config!);
    const module = await modules.load(config!, options.name);
    return host.start({ ...options, module });
  }

  function keep(configs: ReadonlySet<WasmFilterConfig>): void {
    for (const [config, entry] of entries) {
      if (configs.has(config)) continue;
      entries.delete(config);
      entry.dropped = true;
      entry.plugin?.close();
    }
    modules.keep([...entries.keys()].map(({ config }) => config.config!));
  }
}
