/** How many hosts of a priority there are, and how they are. */
export interface PriorityHealth {
  readonly total: number;
  readonly healthy: number;
  readonly degraded: number;
}

/** A priority's share of the requests, in percent: to its healthy hosts and to its degraded ones. */
export interface PriorityLoad {
  readonly healthy: number;
  readonly degraded: number;
  /** Too few are well: requests go to all of its hosts. */
  readonly isPanic: boolean;
}

/**
 * Shares requests out among priorities, as Envoy's load balancers: each gets as much as its healthy hosts can take (with
 * some more than they are, by `overprovisioning` percent), the rest goes to the next, and then to the degraded ones.
 */
export function sharePriorities(
  priorities: readonly PriorityHealth[],
  overprovisioning: number,
  panicThreshold: number,
): PriorityLoad[] {
  const available = (count: number, total: number) =>
    total === 0 ? 0 : Math.min(100, Math.floor((overprovisioning * count) / total));
  const healthy = priorities.map((each) => available(each.healthy, each.total));
  const degraded = priorities.map((each) => available(each.degraded, each.total));
  const whole = Math.min(100, sum(healthy) + sum(degraded));
  const panics = priorities.map((each) => whole < 100 && isPanic(each, panicThreshold));
  if (whole === 0) {
    const shares = shareByHosts(priorities);
    return priorities.map((_, i) => ({ healthy: shares[i]!, degraded: 0, isPanic: panics[i]! }));
  }
  let left = 100;
  const take = (share: number) => {
    const load = Math.min(left, Math.floor((share * 100) / whole));
    left -= load;
    return load;
  };
  const toHealthy = healthy.map(take);
  const toDegraded = degraded.map(take);
  // What rounding left over goes to the first that has anything.
  const first = toHealthy.findIndex((load) => load > 0);
  if (first >= 0) toHealthy[first]! += left;
  else toDegraded[toDegraded.findIndex((load) => load > 0)]! += left;
  return priorities.map((_, i) => ({
    healthy: toHealthy[i]!,
    degraded: toDegraded[i]!,
    isPanic: panics[i]!,
  }));
}

function isPanic({ total, healthy, degraded }: PriorityHealth, threshold: number): boolean {
  const percent = total === 0 ? 0 : (100 * (healthy + degraded)) / total;
  return percent < threshold;
}

/** Nobody is well anywhere: by the number of hosts. */
function shareByHosts(priorities: readonly PriorityHealth[]): number[] {
  const all = sum(priorities.map(({ total }) => total));
  const shares = priorities.map(({ total }) => (all === 0 ? 0 : Math.floor((total * 100) / all)));
  const first = priorities.findIndex(({ total }) => total > 0);
  if (first >= 0) shares[first]! += 100 - sum(shares);
  return shares;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
