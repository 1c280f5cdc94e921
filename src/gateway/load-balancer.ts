import type { Cluster, Endpoint } from "./cluster-config.ts";
import { addressOf } from "./endpoint-address.ts";
import { groupHosts, type HostGroup, type Turn, type WeightedGroups } from "./host-groups.ts";
import { createHostStates, type HostState } from "./outlier-detection.ts";

/** Chooses endpoints of a cluster, and hears how they do. */
export interface Balancer {
  /** The endpoint for a request, rather none of those that were tried; undefined if there is none. */
  choose(tried: ReadonlySet<Endpoint> | undefined): Endpoint | undefined;
  /** How an endpoint's request went: its status, or undefined where there was no response. */
  report(endpoint: Endpoint, status: number | undefined): void;
}

export interface BalancerOptions {
  /** Milliseconds that never go back. */
  readonly now?: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
  /** Requests at work at an endpoint. */
  readonly activeAt?: (endpoint: Endpoint) => number;
}

/** A balancer, with what the next one of the same cluster takes over. */
export interface ClusterBalancer extends Balancer {
  /** By address and port. */
  readonly hosts: ReadonlyMap<string, HostState>;
  readonly turns: ReadonlyMap<string, Turn>;
  /** Left out for a while, since requests to it failed. */
  isEjected(endpoint: Endpoint): boolean;
}

/**
 * Balances as Envoy does: weighted round robin, or the less busy of two; among priorities and localities by their shares;
 * all hosts of a priority when too few of them are well (panic). What is known about hosts that stay is taken over from
 * `before`.
 */
export function createBalancer(
  cluster: Cluster,
  before?: ClusterBalancer,
  { now = () => performance.now(), random = Math.random, activeAt = () => 0 }: BalancerOptions = {},
): ClusterBalancer {
  const hosts = createHostStates(cluster, before?.hosts);
  const turns = new Map(before?.turns);
  const choose = choosers[cluster.lbPolicy] ?? roundRobin;
  const options: Choice = {
    activeOf: ({ endpoint }) => activeAt(endpoint),
    random,
    count: cluster.choiceCount,
  };
  let groups: readonly WeightedGroups[] = [];
  /** From when on somebody may be usable again. */
  let validUntil = Number.NEGATIVE_INFINITY;
  const refresh = (time: number) => {
    groups = groupHosts(cluster, hosts.byPriority, turns, time);
    validUntil = Number.POSITIVE_INFINITY;
    for (const { ejectedUntil } of hosts.values())
      if (ejectedUntil > time) validUntil = Math.min(validUntil, ejectedUntil);
  };
  return {
    hosts: hosts.byAddress,
    turns,
    choose(tried) {
      if (validUntil !== Number.POSITIVE_INFINITY) {
        const time = now();
        if (time >= validUntil) refresh(time);
      }
      const group = chooseGroup(groups, random);
      return group && choose(tried ? without(group, tried) : group, options)?.endpoint;
    },
    report(endpoint, status) {
      const host = cluster.outlierDetection && hosts.byAddress.get(addressOf(endpoint));
      if (!host) return;
      const { ejections } = host;
      hosts.observe(host, status, now(), random);
      if (host.ejections !== ejections) validUntil = Number.NEGATIVE_INFINITY;
    },
    isEjected: (endpoint) => (hosts.byAddress.get(addressOf(endpoint))?.ejectedUntil ?? 0) > now(),
  };
}

function chooseGroup(all: readonly WeightedGroups[], random: () => number): HostGroup | undefined {
  let [chosen] = all;
  if (all.length > 1) {
    let left = random() * 100;
    chosen = all.find(({ share }) => {
      left -= share;
      return left < 0;
    });
  }
  const groups = chosen?.groups ?? [];
  return groups.length < 2 ? groups[0] : takeTurns(groups, ({ weight }) => weight);
}

function without(group: HostGroup, tried: ReadonlySet<Endpoint>): HostGroup {
  const hosts = group.hosts.filter(({ endpoint }) => !tried.has(endpoint));
  return hosts.length > 0 ? { ...group, hosts } : group;
}

interface Choice {
  activeOf(host: HostState): number;
  random(): number;
  /** Of least request: how many are compared. */
  readonly count: number;
}

type Choose = (group: HostGroup, choice: Choice) => HostState | undefined;

const choosers: Readonly<Partial<Record<Cluster["lbPolicy"], Choose>>> = {
  round_robin: roundRobin,
  least_request: leastRequest,
  random: ({ hosts }, { random }) => hosts[Math.floor(random() * hosts.length)],
};

function roundRobin({ hosts, isEven, turn }: HostGroup, { random }: Choice): HostState | undefined {
  if (!isEven) return takeTurns(hosts, ({ weight }) => weight);
  // As Envoy: many gateways that have just started do not all begin with the same host.
  turn.at = turn.at < 0 ? Math.floor(random() * hosts.length) : (turn.at + 1) % hosts.length;
  return hosts[turn.at];
}

/** The least busy of some hosts; with weights, round robin by the weight that is left beside the requests at work. */
function leastRequest(
  { hosts, isEven }: HostGroup,
  { activeOf, random, count }: Choice,
): HostState | undefined {
  if (!isEven) return takeTurns(hosts, (host) => host.weight / (activeOf(host) + 1));
  let best: HostState | undefined;
  for (let i = 0; i < count; i++) {
    const host = hosts[Math.floor(random() * hosts.length)];
    if (!best || (host && activeOf(host) < activeOf(best))) best = host;
  }
  return best;
}

/** Smooth weighted round robin: of n choices each gets its share, spread evenly. */
function takeTurns<T extends { credit: number }>(
  all: readonly T[],
  weightOf: (each: T) => number,
): T | undefined {
  let total = 0;
  let best: T | undefined;
  for (const each of all) {
    const weight = weightOf(each);
    total += weight;
    each.credit += weight;
    if (!best || each.credit > best.credit) best = each;
  }
  if (best) best.credit -= total;
  return best;
}
