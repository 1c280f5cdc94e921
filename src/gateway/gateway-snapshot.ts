import { emptySnapshot } from "./empty-snapshot.ts";
import { addressOf } from "./endpoint-address.ts";
import type { Gateway } from "./gateway.ts";
import type { GatewayConfig } from "./gateway-config.ts";
import { clusterScopes } from "./stats/cluster-scopes.ts";
import type { HostStats } from "./stats/cluster-stats.ts";
import { countedStats, mergeStats, type StatsSnapshot } from "./stats/stats-snapshot.ts";
import { wasmConfigs } from "./stream-plans.ts";

/** What a gateway counts and has open, as plain data: of one thread, or of several together. */
export interface GatewaySnapshot {
  readonly stats: StatsSnapshot;
  /** By cluster, then by address. */
  readonly hosts: Readonly<Record<string, Readonly<Record<string, HostStatus>>>>;
  /** By listener; one that is not open is not there. */
  readonly listeners: Readonly<Record<string, OpenListener>>;
  /** By name: those of the configuration that were started. */
  readonly plugins: Readonly<Record<string, PluginCount>>;
}

export interface HostStatus extends HostStats {
  readonly isEjected: boolean;
}

export interface OpenListener {
  readonly port: number;
  readonly connectionCount: number;
}

export interface PluginCount {
  /** How many threads it runs in. */
  readonly running: number;
  /** How many Vms it has lost. */
  readonly failures: number;
}

type SnapshotSource = Pick<Gateway, "stats" | "clusters" | "listeners" | "plugins"> & {
  readonly config: GatewayConfig | undefined;
};

/** What a gateway of one thread has now; `worker` is the number of the thread. */
export function takeSnapshot(
  { stats, clusters, listeners, plugins, config }: SnapshotSource,
  worker = 0,
): GatewaySnapshot {
  const started = [...(config ? wasmConfigs(config) : [])].flatMap((wasm) => {
    const status = plugins.find(wasm)?.status();
    if (!status) return [];
    const count = { running: status.state === "running" ? 1 : 0, failures: status.failures };
    return [[wasm.name, count] as const];
  });
  return {
    stats: [...stats.snapshot(worker), ...clusterScopes(clusters)],
    hosts: hostsOf(clusters),
    listeners: openListeners(listeners),
    plugins: Object.fromEntries(started),
  };
}

/** What is open, as plain data. */
export function openListeners(listeners: ReadonlyMap<string, OpenListener>): GatewaySnapshot["listeners"] {
  const plain = ({ port, connectionCount }: OpenListener) => ({ port, connectionCount });
  return Object.fromEntries([...listeners].map(([name, open]) => [name, plain(open)]));
}

function hostsOf(clusters: Gateway["clusters"]): GatewaySnapshot["hosts"] {
  const all = [...clusters.all].map(([name, { config, use, balancer }]) => {
    const endpoints = config.endpoints.localities.flatMap((locality) => locality.endpoints);
    const known = endpoints.flatMap((endpoint) => {
      const figures = use.stats.hosts.get(addressOf(endpoint));
      return figures
        ? [[addressOf(endpoint), { ...figures, isEjected: balancer.isEjected(endpoint) }] as const]
        : [];
    });
    return [name, Object.fromEntries(known)] as const;
  });
  return Object.fromEntries(all);
}

/** What threads count together. */
export function mergeSnapshots(snapshots: readonly GatewaySnapshot[]): GatewaySnapshot {
  return {
    stats: mergeStats(snapshots.map(({ stats }) => stats)),
    hosts: mergeBy(
      snapshots.map(({ hosts }) => hosts),
      (a, b) => mergeBy([a, b], addHosts),
    ),
    listeners: mergeBy(
      snapshots.map(({ listeners }) => listeners),
      ({ port, connectionCount }, other) => ({
        port,
        connectionCount: connectionCount + other.connectionCount,
      }),
    ),
    plugins: mergeBy(
      snapshots.map(({ plugins }) => plugins),
      (a, b) => ({ running: a.running + b.running, failures: a.failures + b.failures }),
    ),
  };
}

/** What stays of a thread that is gone: what it has counted, and nothing that it had open. */
export function countedOnly({ stats, hosts }: GatewaySnapshot): GatewaySnapshot {
  const closed = (host: HostStatus) => ({ ...host, cx_active: 0, rq_active: 0, isEjected: false });
  const entries = Object.entries(hosts).map(([cluster, each]) => {
    const counted = Object.entries(each).map(([address, host]) => [address, closed(host)] as const);
    return [cluster, Object.fromEntries(counted)] as const;
  });
  return { ...emptySnapshot, stats: countedStats(stats), hosts: Object.fromEntries(entries) };
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
