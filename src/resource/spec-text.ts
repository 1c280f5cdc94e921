import { decodeWasmPluginSpec } from "./decode-wasm-plugin.ts";
import type { Origin, WasmPlugin, WasmPluginSpec } from "./types.ts";
import { loadYaml } from "./yaml.ts";

const kept = new WeakSet<WasmPlugin>();

/** The spec's JSON of plugins that come from an API server, which have no other text. */
const texts = new WeakMap<WasmPlugin, string>();

/** Keeps the text of a spec that was read from no file, for `keepSpecAsText`. */
export function rememberSpecText(plugin: WasmPlugin, spec: unknown): void {
  texts.set(plugin, JSON.stringify(spec ?? null));
}

/** Whether a plugin was read from this very spec. */
export function hasSpecText(plugin: WasmPlugin, spec: unknown): boolean {
  return texts.get(plugin) === JSON.stringify(spec ?? null);
}

/**
 * Lets a plugin's spec live in the text that it was read from alone: it is read again whenever somebody looks at it,
 * which after its conversion is when a Secret of its templates changes. As objects, the specs of a thousand plugins of
 * a hundred rules take 60 MB, and the text is kept anyway.
 */
export function keepSpecAsText(plugin: WasmPlugin): void {
  if (kept.has(plugin)) return;
  const { origin } = plugin;
  const text = texts.get(plugin);
  const read = origin ? () => readSpec(origin) : text && (() => decodeSpec(JSON.parse(text)));
  if (!read) return;
  kept.add(plugin);
  Object.defineProperty(plugin, "spec", {
    get: read,
    enumerable: true,
    configurable: true,
  });
}

function readSpec({ text, path }: Origin): WasmPluginSpec {
  const loaded = loadYaml(text);
  let value = "value" in loaded ? loaded.value : undefined;
  for (const step of path ?? []) value = (value as Record<string | number, unknown>)[step];
  return decodeSpec((value as { spec?: unknown }).spec);
}

/** It was decoded before without an error. */
function decodeSpec(value: unknown): WasmPluginSpec {
  return decodeWasmPluginSpec(value, { problems: [] })!;
}

/** The same plugin with another spec than its text has, which stays as it is. */
export function withSpec(plugin: WasmPlugin, spec: WasmPluginSpec): WasmPlugin {
  const changed = { ...plugin, spec };
  kept.add(changed);
  return changed;
}
