import { addressOf } from "../active-clusters.ts";
import type { Gateway } from "../gateway.ts";
import { clusterScopes } from "../stats/cluster-scopes.ts";
import type { HostStats } from "../stats/cluster-stats.ts";
import { mergeStats, type StatsSnapshot } from "../stats/stats-snapshot.ts";

/** What the admin pages show of a gateway besides its configuration: plain data, of one thread or of several together. */
export interface GatewayStatus {
  readonly stats: StatsSnapshot;
  /** By cluster, then by address. */
  readonly hosts: Readonly<Record<string, Readonly<Record<string, HostStatus>>>>;
  /** By name; one that is not open is not there. */
  readonly listeners: Readonly<Record<string, OpenListener>>;
}

export interface HostStatus extends HostStats {
  readonly isEjected: boolean;
}

export interface OpenListener {
  readonly port: number;
  readonly connectionCount: number;
}

/** What one thread has counted and has open; `worker` is its number. */
export function readStatus({ stats, clusters, listeners }: Gateway, worker = 0): GatewayStatus {
  const hosts = [...clusters.all].map(([name, { config, use }]) => {
    const endpoints = config.endpoints.localities.flatMap((locality) => locality.endpoints);
    const known = endpoints.flatMap((endpoint) => {
      const figures = use.stats.hosts.get(addressOf(endpoint));
      return figures ? [[addressOf(endpoint), { ...figures, isEjected: false }] as const] : [];
    });
    return [name, Object.fromEntries(known)] as const;
  });
  const open = [...listeners].map(
    ([name, { port, connectionCount }]) => [name, { port, connectionCount }] as const,
  );
  return {
    stats: [...stats.snapshot(worker), ...clusterScopes(clusters)],
    hosts: Object.fromEntries(hosts),
    listeners: Object.fromEntries(open),
  };
}

/** What threads have counted and have open together. */
export function mergeStatus(all: readonly GatewayStatus[]): GatewayStatus {
  return {
    stats: mergeStats(all.map(({ stats }) => stats)),
    hosts: mergeBy(
      all.map(({ hosts }) => hosts),
      (a, b) => mergeBy([a, b], addHosts),
    ),
    listeners: mergeBy(
      all.map(({ listeners }) => listeners),
      ({ port, connectionCount }, other) => ({
        port,
        connectionCount: connectionCount + other.connectionCount,
      }),
    ),
  };
}

function addHosts(a: HostStatus, b: HostStatus): HostStatus {
  return {
    cx_connect_fail: a.cx_connect_fail + b.cx_connect_fail,
    cx_total: a.cx_total + b.cx_total,
    rq_error: a.rq_error + b.rq_error,
    rq_success: a.rq_success + b.rq_success,
    rq_timeout: a.rq_timeout + b.rq_timeout,
    rq_total: a.rq_total + b.rq_total,
    cx_active: a.cx_active + b.cx_active,
    rq_active: a.rq_active + b.rq_active,
    isEjected: a.isEjected || b.isEjected,
  };
}

function mergeBy<T>(
  records: readonly Readonly<Record<string, T>>[],
  merge: (a: T, b: T) => T,
): Record<string, T> {
  const merged = new Map<string, T>();
  for (const [name, value] of records.flatMap((each) => Object.entries(each))) {
    const known = merged.get(name);
    merged.set(name, known === undefined ? value : merge(known, value));
  }
  return Object.fromEntries(merged);
}
