import type { ActiveCluster } from "../active-cluster.ts";
import type { ActiveClusters } from "../active-clusters.ts";
import { maxRetriesOf } from "../circuit-limits.ts";
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
  const high = cluster.circuit("high");
  const ejects = config.outlierDetection !== undefined;
  return snapshotScope(use.stats, {
    counters: { ...responseFigures(use.stats), ...(ejects && use.stats.outlier) },
    gauges: {
      ...memberGauges(cluster),
      ...openGauges("default", cluster.circuit("default")),
      ...openGauges("high", high),
      ...(ejects && { "outlier_detection.ejections_active": ejectedCount(cluster) }),
      upstream_cx_active: use.connections + high.use.connections,
      upstream_rq_active: use.requests + high.use.requests,
      upstream_rq_pending_active: use.pending + high.use.pending,
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
  { use, limits }: ReturnType<ActiveCluster["circuit"]>,
): Record<string, number> {
  const gauge = (used: number, limit: number) => (used >= limit ? 1 : 0);
  const name = (what: string) => `circuit_breakers.${priority}.${what}`;
  return {
    [name("cx_open")]: gauge(use.connections, limits.maxConnections),
    [name("cx_pool_open")]: 0,
    [name("rq_open")]: gauge(use.requests, limits.maxRequests),
    [name("rq_pending_open")]: gauge(use.pending, limits.maxPendingRequests),
    [name("rq_retry_open")]: gauge(use.retries, maxRetriesOf(limits, use)),
  };
}

function ejectedCount({ config, balancer }: ActiveCluster): number {
  const all = config.endpoints.localities.flatMap(({ endpoints }) => endpoints);
  return all.filter((endpoint) => balancer.isEjected(endpoint)).length;
}

/** As in Envoy they are there once something was recorded. */
function timeFigures({ use: { stats } }: ActiveCluster): Record<string, HistogramCounts> {
  const named = Object.entries(stats.times).map(
    ([kind, times]) =>
      [kind === "all" ? "upstream_rq_time" : `${kind}.upstream_rq_time`, countsOf(times)] as const,
  );
  return Object.fromEntries(named.filter(([, counts]) => counts.length > 0));
}
