import { decodeWasmPluginSpec } from "./decode-wasm-plugin.ts";
import type { Origin, WasmPlugin, WasmPluginSpec } from "./types.ts";
import { loadYaml } from "./yaml.ts";

const kept = new WeakSet<WasmPlugin>();

/**
 * Lets a plugin's spec live in the text that it was read from alone: it is read again whenever somebody looks at it,
 * which after its conversion is when a Secret of its templates changes. As objects, the specs of a thousand plugins of
 * a hundred rules take 60 MB, and the text is kept anyway.
 */
export function keepSpecAsText(plugin: WasmPlugin): void {
  const { origin } = plugin;
  if (!origin || kept.has(plugin)) return;
  kept.add(plugin);
  Object.defineProperty(plugin, "spec", {
    get: () => readSpec(origin),
    enumerable: true,
    configurable: true,
  });
}

function readSpec({ text, path }: Origin): WasmPluginSpec {
  const loaded = loadYaml(text);
  let value = "value" in loaded ? loaded.value : undefined;
  for (const step of path ?? []) value = (value as Record<string | number, unknown>)[step];
  // It was decoded before without an error.
  return decodeWasmPluginSpec((value as { spec?: unknown }).spec, { problems: [] })!;
}

/** The same plugin with another spec than its text has, which stays as it is. */
export function withSpec(plugin: WasmPlugin, spec: WasmPluginSpec): WasmPlugin {
  const changed = { ...plugin, spec };
  kept.add(changed);
  return changed;
}
