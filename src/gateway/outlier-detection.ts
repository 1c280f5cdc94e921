import { getOrCreate } from "../get-or-create.ts";
import type { Cluster, Endpoint, OutlierDetection } from "./cluster-config.ts";
import { addressOf } from "./endpoint-address.ts";
import type { PriorityHosts } from "./host-groups.ts";

/** What is known about a host beside its configuration. */
export interface HostState {
  readonly endpoint: Endpoint;
  readonly weight: number;
  /** Of round robin. */
  credit: number;
  /** Failures since the last success: of any kind, of the gateway's (502, 503, 504, no response). */
  failures: number;
  gatewayFailures: number;
  /** Of these, where they are counted apart: no response came. */
  localFailures: number;
  /** Milliseconds of the clock. */
  ejectedUntil: number;
  /** How often it was ejected lately; each time for longer. */
  ejections: number;
}

/**
 * A host's requests fail: it gets no more for a while. As Envoy's consecutive failures; success rates are not looked at.
 * Unlike Envoy: a host is back when its time is over and not at the next interval, so nothing has to run meanwhile.
 */
export function observeOutcome(
  host: HostState,
  all: Iterable<HostState>,
  detection: OutlierDetection | undefined,
  status: number | undefined,
  now: number,
  random: () => number,
): void {
  if (!detection) return;
  const isOut =
    detection.splitLocalOrigin && status === undefined
      ? isLocallyDue(host, detection, random)
      : isFailureDue(host, detection, status, random);
  if (detection.splitLocalOrigin && status !== undefined) host.localFailures = 0;
  if (isOut && host.ejectedUntil <= now && mayEject([...all], detection, now)) eject(host, detection, now);
}

function isLocallyDue(host: HostState, detection: OutlierDetection, random: () => number): boolean {
  const { consecutiveLocalOriginFailure, enforcingConsecutiveLocalOriginFailure } = detection;
  host.localFailures++;
  return isDue(
    host.localFailures,
    consecutiveLocalOriginFailure,
    enforcingConsecutiveLocalOriginFailure,
    random,
  );
}

function isFailureDue(
  host: HostState,
  detection: OutlierDetection,
  status: number | undefined,
  random: () => number,
): boolean {
  const isGatewayFailure = status === undefined || (status >= 502 && status <= 504);
  host.gatewayFailures = isGatewayFailure ? host.gatewayFailures + 1 : 0;
  host.failures = isGatewayFailure || status >= 500 ? host.failures + 1 : 0;
  return (
    isDue(host.failures, detection.consecutive5xx, detection.enforcingConsecutive5xx, random) ||
    isDue(
      host.gatewayFailures,
      detection.consecutiveGatewayFailure,
      detection.enforcingConsecutiveGatewayFailure,
      random,
    )
  );
}

function isDue(count: number, limit: number, enforcing: number, random: () => number): boolean {
  return limit > 0 && count >= limit && random() * 100 < enforcing;
}

function mayEject(
  all: readonly HostState[],
  { maxEjectionPercent, alwaysEjectOneHost }: OutlierDetection,
  now: number,
): boolean {
  const ejected = all.filter(({ ejectedUntil }) => ejectedUntil > now).length;
  return (ejected === 0 && alwaysEjectOneHost) || ((ejected + 1) * 100) / all.length <= maxEjectionPercent;
}

function eject(host: HostState, { baseEjectionMs, maxEjectionMs }: OutlierDetection, now: number): void {
  // A host that was well for as long as it would be out begins anew.
  const calmMs = now - host.ejectedUntil;
  const forgiven = host.ejections > 0 ? Math.floor(calmMs / baseEjectionMs) : 0;
  host.ejections = Math.max(0, host.ejections - forgiven) + 1;
  host.ejectedUntil = now + Math.min(baseEjectionMs * host.ejections, maxEjectionMs);
  host.failures = 0;
  host.gatewayFailures = 0;
  host.localFailures = 0;
}

/** The states of a cluster's hosts. Those that were known before keep theirs. */
export function createHostStates(cluster: Cluster, before: ReadonlyMap<string, HostState> | undefined) {
  const byAddress = new Map<string, HostState>();
  const priorities = new Map<number, PriorityHosts["localities"][number][]>();
  for (const locality of cluster.endpoints.localities) {
    const hosts: HostState[] = [];
    getOrCreate(priorities, locality.priority, () => []).push({ locality, hosts });
    for (const endpoint of locality.endpoints) {
      const address = addressOf(endpoint);
      if (byAddress.has(address)) continue;
      const host = { ...(before?.get(address) ?? newHost), endpoint, weight: endpoint.weight };
      byAddress.set(address, host);
      hosts.push(host);
    }
  }
  const byPriority: PriorityHosts[] = [...priorities]
    .sort(([a], [b]) => a - b)
    .map(([, localities]) => ({ localities }));
  return {
    byAddress,
    byPriority,
    values: () => byAddress.values(),
    observe(host: HostState, status: number | undefined, now: number, random: () => number) {
      observeOutcome(host, byAddress.values(), cluster.outlierDetection, status, now, random);
    },
  };
}

const newHost = {
  credit: 0,
  failures: 0,
  gatewayFailures: 0,
  localFailures: 0,
  ejectedUntil: Number.NEGATIVE_INFINITY,
  ejections: 0,
};
