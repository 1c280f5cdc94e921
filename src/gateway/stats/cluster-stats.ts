import type { Cluster } from "../cluster-config.ts";
import { clusterCounters, clusterGauges, outlierCounters } from "./cluster-figures.ts";
import { type Histogram, record } from "./histogram.ts";
import { resetCounters, type StatScope } from "./stat-scope.ts";

/** How many responses had a status. */
type Responses = Map<number, number>;

/** Figures of a cluster. They outlive its versions. */
export interface ClusterStats
  extends StatScope<
    ReturnType<typeof clusterCounters>,
    ReturnType<typeof clusterGauges>,
    {
      readonly upstream_cx_connect_ms: Histogram;
      readonly upstream_cx_length_ms: Histogram;
      readonly upstream_rq_per_cx: Histogram;
    }
  > {
  readonly responses: Readonly<Record<ResponseKind, Responses>>;
  readonly times: Readonly<Record<Exclude<ResponseKind, "retry">, Histogram>>;
  readonly outlier: ReturnType<typeof outlierCounters>;
  /** By address. */
  readonly hosts: Map<string, HostStats>;
}

/** `all` is what clients got; who asked is `internal` or not; what was retried is only in `retry`. */
type ResponseKind = "all" | "external" | "internal" | "retry";

/** Figures of an endpoint, as `/clusters` has them. */
export interface HostStats {
  cx_connect_fail: number;
  cx_total: number;
  rq_error: number;
  rq_success: number;
  rq_timeout: number;
  rq_total: number;
  cx_active: number;
  rq_active: number;
}

export function createClusterStats(statName: string): ClusterStats {
  return {
    prefix: `cluster.${statName.replaceAll(":", "_")}.`,
    metricPrefix: "cluster.",
    labels: [["envoy_cluster_name", statName.replaceAll(":", "_")]],
    counters: clusterCounters(),
    gauges: clusterGauges(),
    histograms: {
      upstream_cx_connect_ms: new Map(),
      upstream_cx_length_ms: new Map(),
      upstream_rq_per_cx: new Map(),
    },
    responses: { all: new Map(), external: new Map(), internal: new Map(), retry: new Map() },
    times: { all: new Map(), external: new Map(), internal: new Map() },
    outlier: outlierCounters(),
    hosts: new Map(),
  };
}

export function createHostStats(): HostStats {
  return {
    cx_connect_fail: 0,
    cx_total: 0,
    rq_error: 0,
    rq_success: 0,
    rq_timeout: 0,
    rq_total: 0,
    cx_active: 0,
    rq_active: 0,
  };
}

/** Counts a change of the endpoints, and forgets the figures of those that are gone. */
export function countMembers(
  { counters, hosts }: ClusterStats,
  before: Cluster | undefined,
  now: Cluster,
  addresses: Iterable<string>,
): void {
  if (before?.endpoints === now.endpoints) return;
  const known = new Set(addresses);
  if (!before) counters["default.total_match_count"]++;
  counters.membership_change++;
  for (const address of hosts.keys()) if (!known.has(address)) hosts.delete(address);
}

/** Counts what a request to the cluster came to. */
export function countResponse({ responses }: ClusterStats, status: number, isInternal: boolean): void {
  addOne(responses.all, status);
  addOne(isInternal ? responses.internal : responses.external, status);
}

/** Counts the milliseconds from the end of a request to that of its response. */
export function countTime({ times }: ClusterStats, ms: number, isInternal: boolean): void {
  record(times.all, ms);
  record(isInternal ? times.internal : times.external, ms);
}

/** Counts a response that was not passed on: the request was tried again. */
export function countRetried({ responses }: ClusterStats, status: number): void {
  addOne(responses.retry, status);
}

function addOne(responses: Responses, status: number): void {
  responses.set(status, (responses.get(status) ?? 0) + 1);
}

/** `upstream_rq_200`, `external.upstream_rq_2xx` and so on. */
export function responseFigures({ responses }: ClusterStats): Record<string, number> {
  const counters: Record<string, number> = { upstream_rq_completed: 0 };
  for (const [kind, counts] of Object.entries(responses)) {
    const prefix = kind === "all" ? "" : `${kind}.`;
    for (const [status, count] of counts)
      for (const suffix of [`${status}`, `${Math.floor(status / 100)}xx`, "completed"]) {
        const name = `${prefix}upstream_rq_${suffix}`;
        counters[name] = (counters[name] ?? 0) + count;
      }
  }
  return counters;
}

export function resetClusterStats({ counters, responses, outlier }: ClusterStats): void {
  resetCounters(counters);
  resetCounters(outlier);
  for (const counts of Object.values(responses)) for (const status of counts.keys()) counts.set(status, 0);
}
