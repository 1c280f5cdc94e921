import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { WasmSchema } from "../../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { getOrCreate } from "../../get-or-create.ts";
import type { PluginRegistry, WasmFilterConfig } from "../plugin-registry.ts";

/** How long a plugin that was started waits for a configuration that has it. */
const heldMs = 120_000;

/**
 * Plugins by what makes them and not by who asks: a plugin that was started from a message is the one of a configuration
 * that comes later. Until then it is held.
 */
export function bySameContent(plugins: PluginRegistry, now: () => number = Date.now): PluginRegistry {
  const first = new Map<string, WasmFilterConfig>();
  const held = new Map<WasmFilterConfig, number>();
  const keys = new WeakMap<WasmFilterConfig, string>();
  const canonical = (config: WasmFilterConfig) =>
    getOrCreate(
      first,
      getOrCreate(keys, config, () => contentOf(config)),
      () => config,
    );
  return {
    start(config) {
      const same = canonical(config);
      if (!plugins.find(same)) held.set(same, now());
      return plugins.start(same);
    },
    find: (config) => plugins.find(canonical(config)),
    refusal: (config) => plugins.refusal(canonical(config)),
    keep(configs) {
      const kept = new Set([...configs].map(canonical));
      for (const [config, since] of held) {
        if (kept.has(config) || now() - since > heldMs) held.delete(config);
        else kept.add(config);
      }
      for (const [key, config] of first) if (!kept.has(config)) first.delete(key);
      plugins.keep(kept);
    },
    close: () => plugins.close(),
  };
}

function contentOf({ name, config }: WasmFilterConfig): string {
  return createHash("sha256").update(`${name}\0`).update(toBinary(WasmSchema, config)).digest("base64");
}
