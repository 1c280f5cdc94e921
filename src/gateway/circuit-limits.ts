import type { CircuitLimits } from "./cluster-config.ts";
import type { ClusterStats } from "./stats/cluster-stats.ts";

/** What the requests of one priority to a cluster use together, of what its circuit breakers limit. */
export interface ClusterUse {
  connections: number;
  pending: number;
  requests: number;
  retries: number;
  /** Of all priorities together. */
  readonly stats: ClusterStats;
}

/** Requests of a cluster by the priority of their route: each has limits of its own. */
export type Priority = "default" | "high";

export function noUse(stats: ClusterStats): ClusterUse {
  return { connections: 0, pending: 0, requests: 0, retries: 0, stats };
}

/** How many retries may be under way at once: a budget is a share of the requests that are. */
export function maxRetriesOf({ maxRetries, retryBudget }: CircuitLimits, use: ClusterUse): number {
  if (!retryBudget) return maxRetries;
  const share = Math.floor((retryBudget.percent * (use.requests + use.pending)) / 100);
  return Math.max(share, retryBudget.minConcurrency);
}
