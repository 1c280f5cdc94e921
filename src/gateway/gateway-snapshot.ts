import type { Gateway } from "./gateway.ts";
import type { ClusterUse } from "./upstream-pool.ts";

/** What a gateway counts and has open, as plain data: of one thread, or of several together. */
export interface GatewaySnapshot {
  readonly counters: Readonly<Record<string, number>>;
  /** By cluster. */
  readonly uses: Readonly<Record<string, ClusterUse>>;
  /** By listener; one that is not open is not there. */
  readonly listeners: Readonly<Record<string, OpenListener>>;
}

export interface OpenListener {
  readonly port: number;
  readonly connectionCount: number;
}

export const emptySnapshot: GatewaySnapshot = { counters: {}, uses: {}, listeners: {} };

/** What a gateway of one thread has now. */
export function takeSnapshot({
  stats,
  clusters,
  listeners,
}: Pick<Gateway, "stats" | "clusters" | "listeners">): GatewaySnapshot {
  return {
    counters: Object.fromEntries(stats.read()),
    uses: Object.fromEntries([...clusters.all].map(([name, { use }]) => [name, { ...use }])),
    listeners: Object.fromEntries(
      [...listeners].map(([name, { port, connectionCount }]) => [name, { port, connectionCount }]),
    ),
  };
}

/** What threads count together. */
export function mergeSnapshots(snapshots: readonly GatewaySnapshot[]): GatewaySnapshot {
  return {
    counters: mergeBy(
      snapshots.map(({ counters }) => counters),
      (a, b) => a + b,
    ),
    uses: mergeBy(
      snapshots.map(({ uses }) => uses),
      addUse,
    ),
    listeners: mergeBy(
      snapshots.map(({ listeners }) => listeners),
      ({ port, connectionCount }, other) => ({
        port,
        connectionCount: connectionCount + other.connectionCount,
      }),
    ),
  };
}

/** What stays of a thread that is gone: what it has counted, and nothing that it had open. */
export function countedOnly({ counters }: GatewaySnapshot): GatewaySnapshot {
  return { ...emptySnapshot, counters };
}

function addUse(a: ClusterUse, b: ClusterUse): ClusterUse {
  return {
    connections: a.connections + b.connections,
    pending: a.pending + b.pending,
    requests: a.requests + b.requests,
    retries: a.retries + b.retries,
  };
}

function mergeBy<T>(
  records: readonly Readonly<Record<string, T>>[],
  add: (a: T, b: T) => T,
): Record<string, T> {
  const sums = new Map<string, T>();
  for (const record of records)
    for (const [name, value] of Object.entries(record)) {
      const known = sums.get(name);
      sums.set(name, known === undefined ? value : add(known, value));
    }
  return Object.fromEntries(sums);
}
