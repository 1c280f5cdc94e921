import type { Cluster, Locality } from "./cluster-config.ts";
import type { HostState } from "./outlier-detection.ts";
import { type PriorityLoad, sharePriorities } from "./priority-load.ts";

/** Hosts among which a request's endpoint is chosen. */
export interface HostGroup {
  readonly hosts: readonly HostState[];
  /** They all have the same weight. */
  readonly isEven: boolean;
  readonly turn: Turn;
}

/** Whose turn it is among hosts, or localities, that take turns. */
export interface Turn {
  at: number;
}

/** Groups of one priority and one kind of hosts: one, or one for each locality, by weight. */
export interface WeightedGroups {
  /** In percent of all requests. */
  readonly share: number;
  readonly groups: readonly (HostGroup & { readonly weight: number; credit: number })[];
}

/** The hosts of a priority, by locality. */
export interface PriorityHosts {
  readonly localities: readonly { readonly locality: Locality; readonly hosts: readonly HostState[] }[];
}

/** Groups the hosts that may get requests now, with the share of each. */
export function groupHosts(
  cluster: Cluster,
  priorities: readonly PriorityHosts[],
  turns: Map<string, Turn>,
  now: number,
): WeightedGroups[] {
  const health = priorities.map(({ localities }) => {
    const hosts = localities.flatMap((each) => each.hosts);
    const count = (health: HostState["endpoint"]["health"]) =>
      hosts.filter((host) => isWell(host, now) && host.endpoint.health === health).length;
    return { total: hosts.length, healthy: count("healthy"), degraded: count("degraded") };
  });
  const { overprovisioningFactor } = cluster.endpoints;
  const loads = sharePriorities(health, overprovisioningFactor, cluster.panicThreshold);
  return priorities.flatMap((priority, i) => groupsOf(cluster, priority, loads[i]!, turns, `${i}`, now));
}

function isWell({ endpoint, ejectedUntil }: HostState, now: number): boolean {
  return ejectedUntil <= now && (endpoint.health === "healthy" || endpoint.health === "degraded");
}

function groupsOf(
  cluster: Cluster,
  priority: PriorityHosts,
  { healthy, degraded, isPanic }: PriorityLoad,
  turns: Map<string, Turn>,
  name: string,
  now: number,
): WeightedGroups[] {
  const of = (health: string) => (host: HostState) => isWell(host, now) && host.endpoint.health === health;
  const make = (share: number, kind: string, isIn: (host: HostState) => boolean, byLocality: boolean) =>
    share === 0
      ? []
      : [{ share, groups: split(cluster, priority, turns, `${name} ${kind}`, isIn, byLocality) }];
  // As Envoy: in panic localities count nothing, only hosts.
  if (isPanic) return make(healthy + degraded, "all", () => true, false);
  const byLocality = cluster.localityWeighted;
  return [
    ...make(healthy, "healthy", of("healthy"), byLocality),
    ...make(degraded, "degraded", of("degraded"), byLocality),
  ];
}

function split(
  { endpoints }: Cluster,
  { localities }: PriorityHosts,
  turns: Map<string, Turn>,
  name: string,
  isIn: (host: HostState) => boolean,
  byLocality: boolean,
): WeightedGroups["groups"] {
  if (!byLocality) {
    const hosts = localities.flatMap((each) => each.hosts.filter(isIn));
    return hosts.length === 0 ? [] : [{ ...group(hosts, turns, name), weight: 1, credit: 0 }];
  }
  return localities.flatMap(({ locality, hosts }) => {
    const inside = hosts.filter(isIn);
    if (inside.length === 0) return [];
    const able = Math.min(1, (endpoints.overprovisioningFactor * inside.length) / (100 * hosts.length));
    const { region, zone, subZone } = locality;
    const turn = `${name} ${region}/${zone}/${subZone}`;
    return [{ ...group(inside, turns, turn), weight: locality.weight * able, credit: 0 }];
  });
}

function group(hosts: readonly HostState[], turns: Map<string, Turn>, name: string): HostGroup {
  let turn = turns.get(name);
  if (!turn) {
    turn = { at: -1 };
    turns.set(name, turn);
  }
  return { hosts, isEven: hosts.every(({ weight }) => weight === hosts[0]!.weight), turn };
}
