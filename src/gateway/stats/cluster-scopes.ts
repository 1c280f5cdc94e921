import type { ActiveCluster, ActiveClusters } from "../active-clusters.ts";
import type { CircuitLimits } from "../cluster-config.ts";
import { responseFigures } from "./cluster-stats.ts";
import { countsOf, type HistogramCounts } from "./histogram.ts";
import { snapshotScope } from "./stat-scope.ts";
import type { ScopeSnapshot, StatsSnapshot } from "./stats-snapshot.ts";

/** Figures of the clusters that are in use, with what follows from their configuration and load. */
export function clusterScopes(clusters: ActiveClusters): StatsSnapshot {
  return [...clusters.all.values()].map(clusterScope);
}

function clusterScope(cluster: ActiveCluster): ScopeSnapshot {
  const { config, use } = cluster;
  cluster.countBytes();
  const ejects = config.outlierDetection !== undefined;
  return snapshotScope(use.stats, {
    counters: { ...responseFigures(use.stats), ...(ejects && use.stats.outlier) },
    gauges: {
      ...memberGauges(cluster),
      ...openGauges("default", config.limits, use),
      ...openGauges("high", config.highPriorityLimits, use),
      ...(ejects && { "outlier_detection.ejections_active": 0 }),
      upstream_cx_active: use.connections,
      upstream_rq_active: Math.max(0, use.requests - use.pending - use.retries),
      upstream_rq_pending_active: use.pending,
    },
    histograms: timeFigures(cluster),
  });
}

function memberGauges({ config: { endpoints, discovery } }: ActiveCluster): Record<string, number> {
  const all = endpoints.localities.flatMap((locality) => locality.endpoints);
  const count = (health: string) => all.filter((endpoint) => endpoint.health === health).length;
  return {
    membership_total: all.length,
    membership_healthy: count("healthy"),
    membership_degraded: count("degraded"),
    membership_excluded: 0,
    max_host_weight: discovery === "eds" ? Math.max(0, ...all.map(({ weight }) => weight)) : 0,
  };
}

/** 1 where a limit is reached. */
function openGauges(
  priority: string,
  limits: CircuitLimits,
  use: ActiveCluster["use"],
): Record<string, number> {
  const isOpen = (used: number, limit: number) => (used >= limit ? 1 : 0);
  // Whatever their priority, requests are counted together.
  const isCounted = priority === "default";
  const gauge = (used: number, limit: number) => (isCounted ? isOpen(used, limit) : 0);
  const name = (what: string) => `circuit_breakers.${priority}.${what}`;
  return {
    [name("cx_open")]: gauge(use.connections, limits.maxConnections),
    [name("cx_pool_open")]: 0,
    [name("rq_open")]: gauge(use.requests, limits.maxRequests),
    [name("rq_pending_open")]: gauge(use.pending, limits.maxPendingRequests),
    [name("rq_retry_open")]: gauge(use.retries, limits.maxRetries),
  };
}

/** As in Envoy they are there once something was recorded. */
function timeFigures({ use: { stats } }: ActiveCluster): Record<string, HistogramCounts> {
  const named = Object.entries(stats.times).map(
    ([kind, times]) =>
      [kind === "all" ? "upstream_rq_time" : `${kind}.upstream_rq_time`, countsOf(times)] as const,
  );
  return Object.fromEntries(named.filter(([, counts]) => counts.length > 0));
}
