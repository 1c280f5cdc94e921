import type { Cluster, Endpoint, OutlierDetection } from "./cluster-config.ts";

/** What is known about a host beside its configuration. */
export interface HostState {
  readonly endpoint: Endpoint;
  readonly weight: number;
  /** Requests at work. */
  active: number;
  /** Of round robin. */
  credit: number;
  /** Failures since the last success: of any kind, of the gateway's (502, 503, 504, no response). */
  failures: number;
  gatewayFailures: number;
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
  const isGatewayFailure = status === undefined || (status >= 502 && status <= 504);
  host.gatewayFailures = isGatewayFailure ? host.gatewayFailures + 1 : 0;
  host.failures = isGatewayFailure || status >= 500 ? host.failures + 1 : 0;
  const isOut =
    isDue(host.failures, detection.consecutive5xx, detection.enforcingConsecutive5xx, random) ||
    isDue(
      host.gatewayFailures,
      detection.consecutiveGatewayFailure,
      detection.enforcingConsecutiveGatewayFailure,
      random,
    );
  if (isOut && host.ejectedUntil <= now && mayEject([...all], detection, now)) eject(host, detection, now);
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
}

/** The states of a cluster's hosts. Those that were known before keep theirs. */
export function createHostStates(cluster: Cluster, before: ReadonlyMap<string, HostState> | undefined) {
  const byAddress = new Map<string, HostState>();
  const priorities = new Map<number, HostState[]>();
  for (const { priority, endpoints } of cluster.endpoints.localities) {
    const hosts = priorities.get(priority) ?? [];
    priorities.set(priority, hosts);
    for (const endpoint of endpoints) {
      const address = `${endpoint.address}:${endpoint.port}`;
      if (byAddress.has(address)) continue;
      const host = { ...(before?.get(address) ?? newHost), endpoint, weight: endpoint.weight };
      byAddress.set(address, host);
      hosts.push(host);
    }
  }
  const byPriority = [...priorities].sort(([a], [b]) => a - b).map(([, hosts]) => hosts);
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
  active: 0,
  credit: 0,
  failures: 0,
  gatewayFailures: 0,
  ejectedUntil: Number.NEGATIVE_INFINITY,
  ejections: 0,
};
