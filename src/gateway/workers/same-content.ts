import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { WasmSchema } from "../../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { getOrCreate } from "../../get-or-create.ts";
import type { PluginRegistry, WasmFilterConfig } from "../plugin-registry.ts";

/**
 * Plugins by what makes them and not by who asks: a plugin that was started for a message is the one of a configuration
 * that comes later.
 */
export function bySameContent(plugins: PluginRegistry): PluginRegistry {
  const first = new Map<string, WasmFilterConfig>();
  const claims = new Map<WasmFilterConfig, number>();
  const keys = new WeakMap<WasmFilterConfig, string>();
  return {
    start(config, signal) {
      const same = firstOf(config);
      if (signal) claim(same, signal);
      return plugins.start(same, signal);
    },
    find: (config) => plugins.find(firstOf(config)),
    refusal: (config) => plugins.refusal(firstOf(config)),
    keep(configs) {
      const kept = new Set([...configs].map(firstOf));
      for (const [key, config] of first) if (!kept.has(config) && !claims.has(config)) first.delete(key);
      plugins.keep(kept);
    },
    get size() {
      return plugins.size;
    },
    close: () => plugins.close(),
  };

  function firstOf(config: WasmFilterConfig): WasmFilterConfig {
    return getOrCreate(
      first,
      getOrCreate(keys, config, () => contentOf(config)),
      () => config,
    );
  }

  function claim(config: WasmFilterConfig, signal: AbortSignal): void {
    if (signal.aborted) return;
    claims.set(config, (claims.get(config) ?? 0) + 1);
    const end = () => {
      const left = claims.get(config)! - 1;
      if (left > 0) claims.set(config, left);
      else claims.delete(config);
    };
    signal.addEventListener("abort", end, { once: true });
  }
}

function contentOf({ name, config }: WasmFilterConfig): string {
  return createHash("sha256").update(`${name}\0`).update(toBinary(WasmSchema, config)).digest("base64");
}
