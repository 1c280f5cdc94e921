import type { Plugin, PluginHost } from "../proxy-wasm/index.ts";
import { errorText, SystemError } from "../system-error.ts";
import type { FilterConfig } from "./gateway-config.ts";
import { createModuleFiles, type ModuleSource } from "./module-files.ts";
import type { PluginWords } from "./plugin-words.ts";
import { pluginOptions } from "./wasm-options.ts";

export type WasmFilterConfig = Extract<FilterConfig, { readonly kind: "wasm" }>;

/** The plugins of one thread, by the configuration that made each: the same object is the same plugin. */
export interface PluginRegistry {
  /**
   * Loads, starts and configures a plugin, once for each configuration. It stays until the signal aborts, and then if it
   * is one of those to keep.
   * @throws SystemError `disk`, `module-invalid`, `plugin-start`, in Envoy's words and the plugin's
   */
  start(config: WasmFilterConfig, signal?: AbortSignal): Promise<Plugin>;
  /** The plugin, if it runs. */
  find(config: WasmFilterConfig): Plugin | undefined;
  /** Why the plugin does not run, if it was tried. */
  refusal(config: WasmFilterConfig): string | undefined;
  /** Closes all plugins but these, and those that somebody wants; streams that have begun with them end with them. */
  keep(configs: ReadonlySet<WasmFilterConfig>): void;
  /** How many there are, started or starting. */
  readonly size: number;
  close(): void;
}

interface Entry {
  readonly started: Promise<Plugin>;
  plugin: Plugin | undefined;
  refusal: string | undefined;
  /** Who wants it before it is in effect. */
  claims: number;
  dropped: boolean;
}

export function createPluginRegistry(
  host: PluginHost,
  words: PluginWords,
  modules: ModuleSource = createModuleFiles(host),
): PluginRegistry {
  const entries = new Map<WasmFilterConfig, Entry>();
  let kept: ReadonlySet<WasmFilterConfig> = new Set();
  return {
    start(config, signal) {
      const entry = entries.get(config) ?? begin(config);
      if (signal) claim(config, entry, signal);
      return entry.started;
    },
    find: (config) => entries.get(config)?.plugin,
    refusal: (config) => entries.get(config)?.refusal,
    keep,
    get size() {
      return entries.size;
    },
    close: () => keep(new Set()),
  };

  function claim(config: WasmFilterConfig, entry: Entry, signal: AbortSignal): void {
    entry.claims++;
    const end = () => {
      entry.claims--;
      dropUnused([[config, entry]]);
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  }

  function begin(config: WasmFilterConfig): Entry {
    const entry: Entry = {
      started: startPlugin(config),
      plugin: undefined,
      refusal: undefined,
      claims: 0,
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

  async function startPlugin({ name, config }: WasmFilterConfig): Promise<Plugin> {
    const called = config.config!.name || name;
    try {
      const options = pluginOptions(name, config.config!);
      const module = await modules.load(config.config!, called);
      return words.during(() => host.start({ ...options, module }));
    } catch (error) {
      const code = error instanceof SystemError ? error.code : "plugin-start";
      throw new SystemError(code, `Unable to create Wasm plugin ${called}: ${errorText(error)}`, error);
    }
  }

  function keep(configs: ReadonlySet<WasmFilterConfig>): void {
    kept = configs;
    dropUnused(entries);
  }

  function dropUnused(some: Iterable<readonly [WasmFilterConfig, Entry]>): void {
    let dropped = false;
    for (const [config, entry] of some) {
      if (entry.dropped || entry.claims > 0 || kept.has(config)) continue;
      entries.delete(config);
      dropped = true;
      entry.dropped = true;
      entry.plugin?.close();
    }
    if (!dropped) return;
    modules.keep([...entries.keys()].map(({ config }) => config.config!));
  }
}
