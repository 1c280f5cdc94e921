import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { FetchResult, ModuleEntry } from "./module-cache.ts";
import type { FetchModule } from "./resolve-module.ts";

/** Milliseconds, as Istio's histogram has them. */
const conversionBuckets = Array.from({ length: 15 }, (_, power) => 2 ** power);

/** What the agent counts of modules, under the names of Istio's agent. */
export interface ModuleMetrics {
  readonly onLookup: (hit: boolean) => void;
  readonly onFetch: (result: FetchResult) => void;
  /** The same fetch, counted and timed. */
  measured(fetchModule: FetchModule): FetchModule;
  /** Where the number of cached modules is read from. */
  watchEntries(entries: () => readonly ModuleEntry[]): void;
}

export function createModuleMetrics(registry: Registry): ModuleMetrics {
  const registers = [registry];
  const lookups = new Counter({
    registers,
    name: "istio_agent_wasm_cache_lookup_count",
    help: "Look-ups of modules in the cache",
    labelNames: ["hit"],
  });
  const fetches = new Counter({
    registers,
    name: "istio_agent_wasm_remote_fetch_count",
    help: "Fetches of modules, by outcome",
    labelNames: ["result"],
  });
  const conversions = new Counter({
    registers,
    name: "istio_agent_wasm_config_conversion_count",
    help: "Wasm filters that got a local module, or did not",
    labelNames: ["result"],
  });
  const durations = new Histogram({
    registers,
    name: "istio_agent_wasm_config_conversion_duration",
    help: "Milliseconds until a Wasm filter had its module",
    buckets: conversionBuckets,
  });
  return {
    onLookup: (hit) => lookups.inc({ hit: String(hit) }),
    onFetch: (result) => fetches.inc({ result }),
    measured: (fetchModule) => async (request, signal) => {
      const began = performance.now();
      const finish = (result: "success" | "fetch_failure") => {
        conversions.inc({ result });
        durations.observe(performance.now() - began);
      };
      try {
        const module = await fetchModule(request, signal);
        finish("success");
        return module;
      } catch (error) {
        // What a newer version has overtaken is no failure.
        if (!signal.aborted) finish("fetch_failure");
        throw error;
      }
    },
    watchEntries(entries) {
      new Gauge({
        registers,
        name: "istio_agent_wasm_cache_entries",
        help: "Modules in the cache",
        collect() {
          this.set(entries().length);
        },
      });
    },
  };
}
