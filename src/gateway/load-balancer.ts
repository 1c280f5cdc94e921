import type { Cluster, Endpoint } from "./cluster-config.ts";
import { createHostStates, type HostState } from "./outlier-detection.ts";

/** Chooses endpoints of a cluster, and hears how they do. */
export interface Balancer {
  /** The endpoint for a request, rather none of those that were tried; undefined if there is none. */
  choose(tried: ReadonlySet<Endpoint> | undefined): Endpoint | undefined;
  /** How a chosen endpoint's request went: its status, or undefined where there was no response. Once for each choice. */
  report(endpoint: Endpoint, status: number | undefined): void;
}

export interface BalancerOptions {
  /** Milliseconds that never go back. */
  readonly now?: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
  /** Requests at work at an endpoint; unless given, what was chosen and is not reported of yet. */
  readonly activeAt?: (endpoint: Endpoint) => number;
}

/** A balancer, with what the next one of the same cluster takes over. */
export interface ClusterBalancer extends Balancer {
  /** By address and port. */
  readonly hosts: ReadonlyMap<string, HostState>;
}

/**
 * Balances as Envoy does: weighted round robin, or the less busy of two; the first priority that has hosts; all of its
 * hosts when too few of them are well (panic). What is known about hosts that stay is taken over from `before`.
 */
export function createBalancer(
  cluster: Cluster,
  before?: ClusterBalancer,
  { now = () => performance.now(), random = Math.random, activeAt }: BalancerOptions = {},
): ClusterBalancer {
  const hosts = createHostStates(cluster, before?.hosts);
  const byEndpoint = new Map([...hosts.values()].map((host) => [host.endpoint, host]));
  const choose = choosers[cluster.lbPolicy] ?? roundRobin;
  const activeOf = (host: HostState) => (activeAt ? activeAt(host.endpoint) : host.active);
  let usable: readonly HostState[] = [];
  /** From when on somebody may be usable again. */
  let usableUntil = Number.NEGATIVE_INFINITY;
  const refresh = (time: number) => {
    usable = usableHosts(cluster, hosts.byPriority, time);
    usableUntil = Number.POSITIVE_INFINITY;
    for (const { ejectedUntil } of hosts.values())
      if (ejectedUntil > time) usableUntil = Math.min(usableUntil, ejectedUntil);
  };
  return {
    hosts: hosts.byAddress,
    choose(tried) {
      if (usableUntil !== Number.POSITIVE_INFINITY) {
        const time = now();
        if (time >= usableUntil) refresh(time);
      }
      const untried = tried ? usable.filter(({ endpoint }) => !tried.has(endpoint)) : usable;
      const host = choose(untried.length > 0 ? untried : usable, activeOf, random, cluster.choiceCount);
      if (!host) return undefined;
      host.active++;
      return host.endpoint;
    },
    report(endpoint, status) {
      const host = byEndpoint.get(endpoint);
      if (!host) return;
      host.active = Math.max(0, host.active - 1);
      if (!cluster.outlierDetection) return;
      const { ejections } = host;
      hosts.observe(host, status, now(), random);
      if (host.ejections !== ejections) usableUntil = Number.NEGATIVE_INFINITY;
    },
  };
}

/** The hosts of the first priority that has any in use; those that are well, or all of them in panic. */
function usableHosts(
  { panicThreshold }: Cluster,
  byPriority: readonly (readonly HostState[])[],
  now: number,
): readonly HostState[] {
  let fallback: readonly HostState[] = [];
  for (const hosts of byPriority) {
    const well = hosts.filter((host) => isWell(host, now));
    if (well.length > 0 && well.length * 100 >= panicThreshold * hosts.length) return preferHealthy(well);
    if (fallback.length === 0 && panicThreshold > 0) fallback = hosts;
  }
  return fallback;
}

function isWell({ endpoint, ejectedUntil }: HostState, now: number): boolean {
  return ejectedUntil <= now && (endpoint.health === "healthy" || endpoint.health === "degraded");
}

/** Degraded ones only where there is no other. */
function preferHealthy(hosts: readonly HostState[]): readonly HostState[] {
  const healthy = hosts.filter(({ endpoint }) => endpoint.health === "healthy");
  return healthy.length > 0 ? healthy : hosts;
}

type Choose = (
  hosts: readonly HostState[],
  activeOf: (host: HostState) => number,
  random: () => number,
  choices: number,
) => HostState | undefined;

const choosers: Readonly<Partial<Record<Cluster["lbPolicy"], Choose>>> = {
  round_robin: roundRobin,
  least_request: leastRequest,
  random: (hosts, _activeOf, random) => hosts[Math.floor(random() * hosts.length)],
};

/** Smooth weighted round robin: of n requests a host gets its share, spread evenly. */
function roundRobin(hosts: readonly HostState[]): HostState | undefined {
  let total = 0;
  let best: HostState | undefined;
  for (const host of hosts) {
    total += host.weight;
    host.credit += host.weight;
    if (!best || host.credit > best.credit) best = host;
  }
  if (best) best.credit -= total;
  return best;
}

/** The least busy of some hosts; with weights, round robin by the weight that is left beside the requests at work. */
function leastRequest(
  hosts: readonly HostState[],
  activeOf: (host: HostState) => number,
  random: () => number,
  choices: number,
): HostState | undefined {
  if (hosts.some(({ weight }) => weight !== hosts[0]!.weight)) return weightedLeastRequest(hosts, activeOf);
  let best: HostState | undefined;
  for (let i = 0; i < choices; i++) {
    const host = hosts[Math.floor(random() * hosts.length)];
    if (!best || (host && activeOf(host) < activeOf(best))) best = host;
  }
  return best;
}

function weightedLeastRequest(
  hosts: readonly HostState[],
  activeOf: (host: HostState) => number,
): HostState | undefined {
  let total = 0;
  let best: HostState | undefined;
  for (const host of hosts) {
    const weight = host.weight / (activeOf(host) + 1);
    total += weight;
    host.credit += weight;
    if (!best || host.credit > best.credit) best = host;
  }
  if (best) best.credit -= total;
  return best;
}
