import type { GatewayConfig } from "../gateway-config.ts";
import { statPrefixes } from "../gateway-stats.ts";
import { createClusterStats, responseFigures } from "./cluster-stats.ts";
import { createHttpStats, createListenerHttpStats } from "./http-stats.ts";
import { addressInNames, createListenerStats, createListenerTlsStats } from "./listener-stats.ts";
import { snapshotScope } from "./stat-scope.ts";
import type { StatsSnapshot } from "./stats-snapshot.ts";

/** The figures that a configuration brings, before anything is counted. */
export function zeroScopes({ listeners, clusters }: GatewayConfig): StatsSnapshot {
  return [
    ...[...clusters.values()].map(({ statName, outlierDetection }) => {
      const stats = createClusterStats(statName);
      return snapshotScope(stats, {
        counters: { ...responseFigures(stats), ...(outlierDetection && stats.outlier) },
      });
    }),
    ...[...listeners.values()].flatMap((listener) => {
      const address = addressInNames(listener.address, listener.port);
      const isSecure = [...listener.chains, listener.defaultChain].some((chain) => chain?.tls);
      return [
        snapshotScope(createListenerStats(address)),
        ...(isSecure ? [snapshotScope(createListenerTlsStats(address))] : []),
        ...statPrefixes(listener).flatMap((prefix) => [
          snapshotScope(createHttpStats(prefix)),
          snapshotScope(createListenerHttpStats(address, prefix)),
        ]),
      ];
    }),
  ];
}
