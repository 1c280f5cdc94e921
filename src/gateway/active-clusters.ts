import type { ConnectionOptions } from "node:tls";
import { getOrCreate } from "../get-or-create.ts";
import type { Cluster, Endpoint } from "./cluster-config.ts";
import { hostPort } from "./http1-connection.ts";
import { countMembers, createClusterStats, createHostStats, type HostStats } from "./stats/cluster-stats.ts";
import { type ClusterUse, createUpstreamPool, type UpstreamPool } from "./upstream-pool.ts";

/** Chooses endpoints of a cluster, and hears how they do. */
export interface Balancer {
  /** The endpoint for a request, rather none of those that were tried; undefined if there is none. */
  choose(tried: ReadonlySet<Endpoint> | undefined): Endpoint | undefined;
  /** How a request went: its status, or undefined where there was no response. */
  report(endpoint: Endpoint, status: number | undefined): void;
}

export type BalancerOf = (cluster: Cluster, before: Balancer | undefined) => Balancer;

/** How connections to a cluster are secured; undefined for plaintext. */
export type TlsOf = (cluster: Cluster) => ConnectionOptions | undefined;

/** A cluster as it is used: its endpoints' connections and its load. */
export interface ActiveCluster {
  readonly config: Cluster;
  readonly use: ClusterUse;
  readonly balancer: Balancer;
  poolOf(endpoint: Endpoint): UpstreamPool;
  /** Addresses (`ip:port`) with their endpoints. */
  findEndpoint(address: string): Endpoint | undefined;
  /** Brings counters of bytes up to date. */
  countBytes(): void;
  close(): void;
}

export interface ActiveClusters {
  find(name: string): ActiveCluster | undefined;
  readonly all: ReadonlyMap<string, ActiveCluster>;
  /** Takes new clusters over. Connections to endpoints that stay are kept. */
  apply(clusters: ReadonlyMap<string, Cluster>): void;
  close(): void;
}

export function createActiveClusters(balancerOf: BalancerOf, tlsOf: TlsOf = () => undefined): ActiveClusters {
  let active = new Map<string, ActiveCluster>();
  return {
    find: (name) => active.get(name),
    get all() {
      return active;
    },
    apply(clusters) {
      const next = new Map<string, ActiveCluster>();
      for (const [name, config] of clusters) {
        const known = active.get(name);
        const isSame = known?.config === config;
        next.set(name, isSame ? known : activate(config, known, balancerOf, tlsOf));
      }
      for (const [name, cluster] of active) if (!next.has(name)) cluster.close();
      active = next;
    },
    close() {
      for (const cluster of active.values()) cluster.close();
      active = new Map();
    },
  };
}

interface PooledCluster extends ActiveCluster {
  readonly pools: Map<string, UpstreamPool>;
}

function activate(
  config: Cluster,
  before: ActiveCluster | undefined,
  balancerOf: BalancerOf,
  tlsOf: TlsOf,
): PooledCluster {
  const endpoints = new Map<string, Endpoint>();
  for (const { endpoints: list } of config.endpoints.localities)
    for (const endpoint of list) endpoints.set(addressOf(endpoint), endpoint);
  const kept = before && isSameTransport(before.config, config) ? (before as PooledCluster) : undefined;
  const pools = new Map<string, UpstreamPool>();
  for (const [address, pool] of (before as PooledCluster | undefined)?.pools ?? []) {
    if (kept && endpoints.has(address)) pools.set(address, pool);
    else pool.close();
  }
  const use = before?.use ?? newUse(config.statName);
  countMembers(use.stats, before?.config, config, endpoints.keys());
  return {
    config,
    use,
    pools,
    balancer: balancerOf(config, before?.balancer),
    findEndpoint: (address) => endpoints.get(address),
    poolOf(endpoint) {
      const address = addressOf(endpoint);
      const known = pools.get(address);
      if (known) return known;
      const host = getOrCreate(use.stats.hosts, address, createHostStats);
      const pool = openPool(config, endpoint, use, host, tlsOf);
      pools.set(address, pool);
      return pool;
    },
    countBytes() {
      for (const pool of pools.values()) pool.countBytes();
    },
    close() {
      for (const pool of pools.values()) pool.close();
      pools.clear();
    },
  };
}

function newUse(statName: string): ClusterUse {
  return { connections: 0, pending: 0, requests: 0, retries: 0, stats: createClusterStats(statName) };
}

function openPool(
  config: Cluster,
  endpoint: Endpoint,
  use: ClusterUse,
  host: HostStats,
  tlsOf: TlsOf,
): UpstreamPool {
  const { connectTimeoutMs, enableTrailers, limits, idleTimeoutMs, maxRequestsPerConnection } = config;
  const { address, port } = endpoint;
  const target = {
    address,
    port,
    connectTimeoutMs,
    enableTrailers,
    // For each connection anew: certificates are renewed.
    get tls() {
      return tlsOf(config);
    },
  };
  return createUpstreamPool({ target, limits, use, idleTimeoutMs, maxRequestsPerConnection, host });
}

/** Connections of the one would be as those of the other. */
function isSameTransport(a: Cluster, b: Cluster): boolean {
  return (
    a.protocol === b.protocol &&
    a.connectTimeoutMs === b.connectTimeoutMs &&
    a.idleTimeoutMs === b.idleTimeoutMs &&
    a.maxRequestsPerConnection === b.maxRequestsPerConnection &&
    a.enableTrailers === b.enableTrailers &&
    JSON.stringify([a.limits, a.tls]) === JSON.stringify([b.limits, b.tls])
  );
}

/** `ip:port`, or a pipe's path. */
export function addressOf({ address, port }: Endpoint): string {
  return port === 0 ? address : hostPort(address, port);
}

/** Endpoints of the highest priority that has healthy ones, in turn. */
export function createRoundRobin(cluster: Cluster): Balancer {
  const healthy = cluster.endpoints.localities.flatMap(({ priority, endpoints }) =>
    endpoints.filter(({ health }) => health === "healthy").map((endpoint) => ({ priority, endpoint })),
  );
  const first = healthy.reduce((least, { priority }) => Math.min(least, priority), Number.POSITIVE_INFINITY);
  const hosts = healthy.filter(({ priority }) => priority === first).map(({ endpoint }) => endpoint);
  let at = Math.floor(Math.random() * hosts.length);
  return {
    choose(tried) {
      for (let i = 0; i < hosts.length; i++) {
        at = at + 1 < hosts.length ? at + 1 : 0;
        if (!tried?.has(hosts[at]!)) return hosts[at];
      }
      return hosts[at];
    },
    report() {},
  };
}
