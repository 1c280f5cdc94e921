import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { FetchResult, ModuleCache } from "./module-cache.ts";
import type { FetchModule } from "./resolve-module.ts";

/** Milliseconds, as Istio's histogram has them. */
const conversionBuckets = Array.from({ length: 15 }, (_, power) => 2 ** power);

/** Seconds, from a module that is near to one that takes all the time that it may. */
const pullBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** What the agent counts of modules, under the names of Istio's agent where that has one. */
export interface ModuleMetrics {
  readonly onLookup: (hit: boolean) => void;
  readonly onFetch: (result: FetchResult) => void;
  /** The same fetch, counted and timed. */
  measured(fetchModule: FetchModule): FetchModule;
  readonly onPull: (result: "success" | "failure", ms: number) => void;
  /** Bytes that came from registries and other servers of modules. */
  readonly onReceived: (bytes: number) => void;
  /** Where the number and the size of cached modules are read from. */
  watchCache(cache: Pick<ModuleCache, "entries" | "size">, maxBytes: number): void;
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
  const pulls = new Histogram({
    registers,
    name: "wasmline_module_pull_seconds",
    help: "Seconds that downloads of modules took until they were stored or had failed",
    labelNames: ["result"],
    buckets: pullBuckets,
  });
  const received = new Counter({
    registers,
    name: "wasmline_module_received_bytes_total",
    help: "Bytes that came from registries and other servers of modules, manifests and failed attempts included",
  });
  return {
    onLookup: (hit) => lookups.inc({ hit: String(hit) }),
    onFetch: (result) => fetches.inc({ result }),
    onPull: (result, ms) => pulls.observe({ result }, ms / 1000),
    onReceived: (bytes) => received.inc(bytes),
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
    watchCache(cache, maxBytes) {
      addGauge(
        registry,
        "istio_agent_wasm_cache_entries",
        "Modules in the cache",
        () => cache.entries().length,
      );
      addGauge(registry, "wasmline_module_cache_bytes", "Bytes of all modules on disk", cache.size);
      addGauge(
        registry,
        "wasmline_module_cache_max_bytes",
        "Bytes above which modules that are not in effect are removed",
        () => maxBytes,
      );
    },
  };
}

function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    registers: [registry],
    name,
    help,
    collect() {
      this.set(read());
    },
  });
}
