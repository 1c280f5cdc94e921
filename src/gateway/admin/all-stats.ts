import type { AdminOptions } from "../admin.ts";
import { emptyConfig } from "../apply-response.ts";
import { configScopes } from "../stats/config-scopes.ts";
import { createConfigUpdates } from "../stats/config-updates.ts";
import { pluginMetrics, resetPluginCounters } from "../stats/plugin-metrics.ts";
import { serverScopes } from "../stats/server-scopes.ts";
import { mergeStats, type StatsSnapshot } from "../stats/stats-snapshot.ts";
import { zeroScopes } from "../stats/zero-scopes.ts";
import { certificateScopes, daysUntilExpiry } from "./certs-page.ts";
import { serverStates } from "./server-info.ts";
import type { ServerState } from "./server-state.ts";

export interface AllStats {
  read(): Promise<StatsSnapshot>;
  reset(): Promise<void>;
}

/** Everything that is counted: by the threads, of the configuration, of the program and by plugins. */
export function createAllStats(options: AdminOptions, server: ServerState): AllStats {
  const { gateway, config, signal, threads = 1, isConnected = () => false } = options;
  const updates = createConfigUpdates(config, signal);
  return {
    async read() {
      const { stats, listeners, plugins } = await gateway.snapshot();
      const current = config.value ?? emptyConfig;
      const open = Object.values(listeners);
      const program = {
        state: serverStates.indexOf(server.state),
        uptimeSeconds: server.uptimeSeconds,
        threads,
        connections: open.reduce((sum, { connectionCount }) => sum + connectionCount, 0),
        certificateDays: daysUntilExpiry(current),
        initializationMs: server.initializationMs,
        plugins,
      };
      return mergeStats([
        stats,
        zeroScopes(current),
        configScopes(current, updates, { isConnected: isConnected(), openListeners: open.length, threads }),
        certificateScopes(current),
        serverScopes(program),
        [pluginMetrics(gateway.stores.metrics.snapshot())],
      ]);
    },
    async reset() {
      updates.reset();
      resetPluginCounters(gateway.stores.metrics);
      await gateway.control({ kind: "reset-counters" });
    },
  };
}
