import type { ConnectionOptions } from "node:tls";
import { getOrCreate } from "../get-or-create.ts";
import { type ClusterUse, noUse, type Priority } from "./circuit-limits.ts";
import type { CircuitLimits, Cluster, Endpoint } from "./cluster-config.ts";
import { addressOf } from "./endpoint-address.ts";
import { type ClusterBalancer, createBalancer } from "./load-balancer.ts";
import { resolveHosts } from "./resolve-hosts.ts";
import { countMembers, createClusterStats, createHostStats } from "./stats/cluster-stats.ts";
import { createUpstreamPool, type UpstreamPool } from "./upstream-pool.ts";

/** How connections to a cluster are secured; undefined for plaintext. `serverName` is in place of the cluster's. */
export type TlsOf = (
  cluster: Cluster,
  protocols: readonly string[],
  serverName: string | undefined,
) => ConnectionOptions | undefined;

/** What kind of connection a request needs. */
export interface PoolDemand {
  readonly priority: Priority;
  /** What the request came over, for clusters that go by that. */
  readonly protocol: "http1" | "http2";
  /** For TLS, in clusters that take it from the request. */
  readonly serverName: string | undefined;
}

/** A cluster as it is used: its endpoints' connections and its load. It stays the same while its configuration changes. */
export interface ActiveCluster {
  readonly config: Cluster;
  /** Of requests of ordinary priority: what there is. */
  readonly use: ClusterUse;
  /** The balancer of the endpoints as they are now. */
  readonly balancer: ClusterBalancer;
  /** Resolves when the names of the cluster have been asked for; undefined as soon as they have been. */
  readonly resolving: Promise<void> | undefined;
  /** Of one priority: what there is, and what there may be. */
  circuit(priority?: Priority): { readonly use: ClusterUse; readonly limits: CircuitLimits };
  poolOf(endpoint: Endpoint, demand?: PoolDemand): UpstreamPool;
  /** Addresses (`ip:port`) with their endpoints. */
  findEndpoint(address: string): Endpoint | undefined;
  /** Connections to an endpoint, and requests on them. */
  countsOf(endpoint: Endpoint): { readonly connections: number; readonly requests: number };
  /** Brings counters of bytes up to date. */
  countBytes(): void;
  /** Takes a new configuration over. Connections and what is known stay where endpoints do. */
  update(config: Cluster): void;
  close(): void;
}

/** The connections to one endpoint, by what requests need. */
type EndpointPools = Map<string, UpstreamPool>;

const ordinary: PoolDemand = { priority: "default", protocol: "http1", serverName: undefined };

export function createActiveCluster(first: Cluster, tlsOf: TlsOf): ActiveCluster {
  const stats = createClusterStats(first.statName);
  const uses = { default: noUse(stats), high: noUse(stats) };
  const pools = new Map<string, EndpointPools>();
  let source = first;
  let config = first;
  let endpoints = new Map<string, Endpoint>();
  let balancer: ClusterBalancer | undefined;
  let closed = false;
  let stopResolving = new AbortController();
  let resolving: Promise<void> | undefined;
  begin(first);
  return {
    get config() {
      return config;
    },
    use: uses.default,
    get balancer() {
      return balancer!;
    },
    get resolving() {
      return resolving;
    },
    circuit,
    poolOf,
    findEndpoint: (address) => endpoints.get(address),
    countsOf,
    countBytes() {
      for (const ofEndpoint of pools.values()) for (const pool of ofEndpoint.values()) pool.countBytes();
    },
    update(next) {
      if (next === source) return;
      source = next;
      begin(next);
    },
    close() {
      closed = true;
      stopResolving.abort();
      closePools(() => false);
    },
  };

  /** A cluster with names goes on with the addresses that it has, until there are new ones. */
  function begin(next: Cluster): void {
    stopResolving.abort();
    stopResolving = new AbortController();
    if (!hasNames(next)) {
      resolving = undefined;
      take(next);
      return;
    }
    if (!balancer) take(withoutNames(next));
    const isNew = balancer!.hosts.size === 0;
    const asked = new Promise<void>((resolve) => {
      resolveHosts({
        cluster: next,
        signal: stopResolving.signal,
        onChange: take,
        onAnswer() {
          resolving = undefined;
          resolve();
        },
      });
    });
    if (isNew) resolving = asked;
  }

  function take(next: Cluster): void {
    const before = config;
    const keepsPools = isSameTransport(before, next);
    config = next;
    endpoints = new Map();
    for (const { endpoints: list } of next.endpoints.localities)
      for (const endpoint of list) endpoints.set(addressOf(endpoint), endpoint);
    countMembers(stats, balancer && before, next, endpoints.keys());
    closePools((address) => keepsPools && endpoints.has(address));
    balancer = createBalancer(next, balancer, { activeAt: (endpoint) => countsOf(endpoint).requests });
  }

  function closePools(isKept: (address: string) => boolean): void {
    for (const [address, ofEndpoint] of pools) {
      if (isKept(address)) continue;
      pools.delete(address);
      for (const pool of ofEndpoint.values()) pool.close();
    }
  }

  function circuit(priority: Priority = "default") {
    const limits = priority === "high" ? config.highPriorityLimits : config.limits;
    return { use: uses[priority], limits };
  }

  function poolOf(endpoint: Endpoint, demand: PoolDemand = ordinary): UpstreamPool {
    const address = addressOf(endpoint);
    const key = keyOf(demand);
    const known = pools.get(address);
    const pool = known?.get(key);
    if (pool) return pool;
    const opened = openPool(endpoint, demand);
    // What a request that outlives its cluster, or its endpoint, opens is closed after it.
    if (closed || !endpoints.has(address)) opened.close();
    else if (known) known.set(key, opened);
    else pools.set(address, new Map([[key, opened]]));
    return opened;
  }

  /** Only what the cluster goes by makes a difference. */
  function keyOf({ priority, protocol, serverName }: PoolDemand): string {
    if (config.protocol !== "downstream" && !config.tls?.autoSni) return priority;
    return `${priority} ${config.protocol === "downstream" ? protocol : ""} ${serverName ?? ""}`;
  }

  function openPool(endpoint: Endpoint, demand: PoolDemand): UpstreamPool {
    const { address, port } = endpoint;
    const { connectTimeoutMs, maxConcurrentStreams, bufferLimitBytes } = config;
    const protocol = config.protocol === "downstream" ? demand.protocol : config.protocol;
    const serverName = config.tls?.autoSni ? demand.serverName : undefined;
    const tls = config.tls && (() => tlsOf(config, alpnOf[protocol], serverName) ?? {});
    return createUpstreamPool({
      target: { address, port, connectTimeoutMs, tls },
      protocol,
      http2: { maxConcurrentStreams, windowBytes: bufferLimitBytes },
      ...circuit(demand.priority),
      host: getOrCreate(stats.hosts, addressOf(endpoint), createHostStats),
      enableTrailers: config.enableTrailers,
      idleTimeoutMs: config.idleTimeoutMs,
      maxDurationMs: config.maxConnectionDurationMs,
      maxRequestsPerConnection: config.maxRequestsPerConnection,
    });
  }

  function countsOf(endpoint: Endpoint) {
    let connections = 0;
    let requests = 0;
    for (const pool of pools.get(addressOf(endpoint))?.values() ?? []) {
      connections += pool.connectionCount;
      requests += pool.activeCount;
    }
    return { connections, requests };
  }
}

/** What a client offers where the cluster's configuration names nothing. */
const alpnOf = { http1: ["http/1.1"], http2: ["h2"], auto: ["h2", "http/1.1"] } as const;

function hasNames({ discovery }: Cluster): boolean {
  return discovery === "strict_dns" || discovery === "logical_dns";
}

function withoutNames(cluster: Cluster): Cluster {
  if (!hasNames(cluster)) return cluster;
  return { ...cluster, endpoints: { ...cluster.endpoints, localities: [] } };
}

/** Connections of the one would be as those of the other. */
function isSameTransport(a: Cluster, b: Cluster): boolean {
  return (
    a.protocol === b.protocol &&
    a.connectTimeoutMs === b.connectTimeoutMs &&
    a.enableTrailers === b.enableTrailers &&
    a.idleTimeoutMs === b.idleTimeoutMs &&
    a.maxRequestsPerConnection === b.maxRequestsPerConnection &&
    a.maxConnectionDurationMs === b.maxConnectionDurationMs &&
    a.maxConcurrentStreams === b.maxConcurrentStreams &&
    JSON.stringify([a.limits, a.highPriorityLimits, a.tls]) ===
      JSON.stringify([b.limits, b.highPriorityLimits, b.tls])
  );
}
