import type { PluginCount } from "../gateway-snapshot.ts";
import { bucketKey } from "./histogram.ts";
import { type Figures, plainScope } from "./stat-scope.ts";
import type { ScopeSnapshot, StatsSnapshot } from "./stats-snapshot.ts";

/** What is known of the program as a whole. */
export interface ServerState {
  /** 0 live, 1 draining, 2 before the first configuration, as Envoy numbers them. */
  readonly state: number;
  readonly uptimeSeconds: number;
  readonly threads: number;
  readonly connections: number;
  /** Days until the first of the certificates expires; undefined without one. */
  readonly certificateDays: number | undefined;
  /** Milliseconds from the start to the first configuration that was complete. */
  readonly initializationMs: number | undefined;
  /** By name. */
  readonly plugins: Readonly<Record<string, PluginCount>>;
}

const noCertificateDays = 2 ** 32 - 1;

/** Figures of the program, by Envoy's names. */
export function serverScopes(server: ServerState): StatsSnapshot {
  return [
    plainScope("server.", serverFigures(server)),
    ...watchdogs.map((prefix) =>
      plainScope(prefix, { counters: { watchdog_mega_miss: 0, watchdog_miss: 0 } }),
    ),
    plainScope("runtime.", runtimeFigures),
    plainScope("filesystem.", filesystemFigures),
    ...pluginScopes(server.plugins),
  ];
}

const watchdogs = ["main_thread.", "workers.", "server.main_thread."];

function serverFigures({
  state,
  uptimeSeconds,
  threads,
  connections,
  certificateDays,
  initializationMs,
}: ServerState): Figures {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  return {
    counters: {
      debug_assertion_failures: 0,
      dropped_stat_flushes: 0,
      dynamic_unknown_fields: 0,
      envoy_bug_failures: 0,
      envoy_notifications: 0,
      static_unknown_fields: 0,
      wip_protos: 0,
      "worker_0.watchdog_mega_miss": 0,
      "worker_0.watchdog_miss": 0,
    },
    gauges: {
      "compilation_settings.fips_mode": 0,
      concurrency: threads,
      days_until_first_cert_expiring: certificateDays ?? noCertificateDays,
      hot_restart_epoch: 0,
      hot_restart_generation: 1,
      live: state === 0 ? 1 : 0,
      memory_allocated: heapUsed + external,
      memory_heap_size: heapTotal + external,
      memory_physical_size: rss,
      parent_connections: 0,
      seconds_until_first_ocsp_response_expiring: 0,
      state,
      stats_recent_lookups: 0,
      total_connections: connections,
      uptime: uptimeSeconds,
      version: 0,
    },
    histograms: {
      initialization_time_ms: initializationMs === undefined ? [] : [[bucketKey(initializationMs), 1]],
    },
  };
}

const runtimeFigures: Figures = {
  counters: {
    deprecated_feature_use: 0,
    load_error: 0,
    load_success: 0,
    override_dir_exists: 0,
    override_dir_not_exists: 0,
  },
  gauges: {
    admin_overrides_active: 0,
    deprecated_feature_seen_since_process_start: 0,
    num_keys: 0,
    num_layers: 0,
  },
};

const filesystemFigures: Figures = {
  counters: { flushed_by_timer: 0, reopen_failed: 0, write_buffered: 0, write_completed: 0, write_failed: 0 },
  gauges: { write_total_buffered: 0 },
};

/** Plugins run on V8, here as there. */
function pluginScopes(plugins: ServerState["plugins"]): ScopeSnapshot[] {
  const running = Object.values(plugins).reduce((sum, plugin) => sum + plugin.running, 0);
  return [
    plainScope("wasm.", {
      counters: {
        remote_load_cache_hits: 0,
        remote_load_cache_misses: 0,
        remote_load_cache_negative_hits: 0,
        remote_load_fetch_failures: 0,
        remote_load_fetch_successes: 0,
      },
      gauges: {
        "envoy.wasm.runtime.v8.active": running,
        remote_load_cache_entries: 0,
        wasm_vm_count: running,
      },
    }),
    ...Object.entries(plugins).map(([name, { failures }]) =>
      plainScope(`wasm.${name}.`, {
        counters: { vm_reload: failures, vm_reload_backoff: 0, vm_reload_failure: 0, vm_reload_success: 0 },
      }),
    ),
  ];
}
