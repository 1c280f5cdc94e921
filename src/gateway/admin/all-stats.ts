import type { AdminOptions } from "../admin.ts";
import { emptyConfig } from "../apply-response.ts";
import { resetClusterStats } from "../stats/cluster-stats.ts";
import { configScopes } from "../stats/config-scopes.ts";
import { type ConfigUpdates, createConfigUpdates } from "../stats/config-updates.ts";
import { pluginMetrics } from "../stats/plugin-metrics.ts";
import { serverScopes } from "../stats/server-scopes.ts";
import { mergeStats, type StatsSnapshot } from "../stats/stats-snapshot.ts";
import { wasmConfigs } from "../stream-plans.ts";
import { certificateScopes, daysUntilExpiry } from "./certs-page.ts";
import { type ServerStateName, serverStates } from "./server-info.ts";
import type { ServerState } from "./server-state.ts";

export interface AllStats {
  read(): Promise<StatsSnapshot>;
  reset(): void;
}

export type StatsOptions = AdminOptions & Required<Pick<AdminOptions, "readStatus">>;

/** Everything that is counted: by the threads, of the configuration, of the program and by plugins. */
export function createAllStats(options: StatsOptions, server: ServerState): AllStats {
  const { gateway, config, signal, isConnected = () => false } = options;
  const updates = createConfigUpdates(config, signal);
  return {
    async read() {
      const { stats, listeners } = await options.readStatus();
      const current = config.value ?? emptyConfig;
      const state = { isConnected: isConnected(), openListeners: Object.keys(listeners).length };
      return mergeStats([
        stats,
        configScopes(current, updates, state),
        certificateScopes(current),
        serverScopes(readServer(options, server, connectionsOf(listeners))),
        [pluginMetrics(gateway.stores.metrics.snapshot())],
      ]);
    },
    reset: () => reset(options, updates),
  };
}

function reset({ gateway }: StatsOptions, updates: ConfigUpdates): void {
  gateway.stats.reset();
  for (const { use } of gateway.clusters.all.values()) resetClusterStats(use.stats);
  updates.reset();
}

function connectionsOf(listeners: Readonly<Record<string, { readonly connectionCount: number }>>): number {
  return Object.values(listeners).reduce((sum, { connectionCount }) => sum + connectionCount, 0);
}

function readServer({ gateway, threads = 1 }: StatsOptions, server: ServerState, connections: number) {
  const config = gateway.config ?? emptyConfig;
  const running = [...wasmConfigs(config)].flatMap((wasm) => {
    const plugin = gateway.plugins.find(wasm);
    return plugin ? [[wasm.name, plugin.status()] as const] : [];
  });
  return {
    state: serverStates.indexOf(server.state as ServerStateName),
    uptimeSeconds: server.uptimeSeconds,
    threads,
    connections,
    certificateDays: daysUntilExpiry(config),
    initializationMs: server.initializationMs,
    plugins: new Map(running),
  };
}
