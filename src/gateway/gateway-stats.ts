import { getOrCreate } from "../get-or-create.ts";
import type { GatewayConfig, Listener } from "./gateway-config.ts";
import type { HttpStream } from "./http-stream.ts";
import { type ConnectionCounter, createConnectionCounter } from "./stats/count-connections.ts";
import { countStreamEnd, countStreamStart, type PlanStats } from "./stats/count-streams.ts";
import {
  createHttpStats,
  createListenerHttpStats,
  type HttpStats,
  type ListenerHttpStats,
} from "./stats/http-stats.ts";
import {
  addressInNames,
  createListenerStats,
  createListenerTlsStats,
  type ListenerStats,
  type ListenerTlsStats,
  workerFigures,
} from "./stats/listener-stats.ts";
import { resetCounters, snapshotScope } from "./stats/stat-scope.ts";
import type { StatsSnapshot } from "./stats/stats-snapshot.ts";
import type { StreamPlan } from "./stream-plan.ts";

/** What one thread counts of its clients' side, by Envoy's names. Clusters hold their own. */
export interface GatewayStats {
  readonly connections: ConnectionCounter;
  http(statPrefix: string): HttpStats;
  listener(listener: Pick<Listener, "address" | "port">): ListenerStats;
  listenerTls(listener: Pick<Listener, "address" | "port">): ListenerTlsStats;
  startStream(stream: HttpStream): void;
  endStream(stream: HttpStream): void;
  /** Forgets what no listener of a configuration has any longer. What it has is there before its first connection. */
  keep(config: Pick<GatewayConfig, "listeners">): void;
  /** `worker` is the number of the thread. */
  snapshot(worker: number): StatsSnapshot;
  reset(): void;
}

export function createGatewayStats(): GatewayStats {
  const http = new Map<string, HttpStats>();
  const listeners = new Map<string, ListenerStats>();
  const secure = new Map<string, ListenerTlsStats>();
  const ofListeners = new Map<string, ListenerHttpStats>();
  const plans = new WeakMap<StreamPlan, PlanStats>();
  const connections = createConnectionCounter();
  const httpOf = (statPrefix: string) => getOrCreate(http, statPrefix, () => createHttpStats(statPrefix));
  const addressOf = ({ address, port }: Pick<Listener, "address" | "port">) => addressInNames(address, port);
  const listenerOf: GatewayStats["listener"] = (of) =>
    getOrCreate(listeners, addressOf(of), () => createListenerStats(addressOf(of)));
  const statsOf = (plan: StreamPlan) => plans.get(plan) ?? begin(plan);
  const begin = (plan: StreamPlan): PlanStats => {
    const {
      http: { statPrefix },
      names: { address },
    } = plan;
    const create = () => createListenerHttpStats(address, statPrefix);
    const listener = getOrCreate(ofListeners, `${address} ${statPrefix}`, create);
    const stats = { http: httpOf(statPrefix), listener };
    plans.set(plan, stats);
    return stats;
  };
  return {
    connections,
    http: httpOf,
    listener: listenerOf,
    listenerTls: (of) => getOrCreate(secure, addressOf(of), () => createListenerTlsStats(addressOf(of))),
    startStream: (stream) => countStreamStart(statsOf(stream.plan), stream),
    endStream: (stream) => countStreamEnd(statsOf(stream.plan), stream),
    keep(config) {
      const all = [...config.listeners.values()];
      const addresses = new Set(all.map(addressOf));
      const prefixes = new Set(all.flatMap(statPrefixes));
      for (const map of [listeners, secure]) removeExcept(map, (address) => addresses.has(address));
      removeExcept(ofListeners, (key) => addresses.has(key.slice(0, key.indexOf(" "))));
      // Its connections may be there still.
      removeExcept(
        http,
        (prefix) => prefixes.has(prefix) || http.get(prefix)!.gauges.downstream_cx_active > 0,
      );
      for (const listener of all) listenerOf(listener);
      for (const prefix of prefixes) httpOf(prefix);
    },
    snapshot(worker) {
      connections.flush();
      return [
        ...[...listeners.values()].map((scope) => snapshotScope(scope, workerFigures(scope, worker))),
        ...[...http.values(), ...secure.values(), ...ofListeners.values()].map((scope) =>
          snapshotScope(scope),
        ),
      ];
    },
    reset() {
      for (const scopes of [http, listeners, secure, ofListeners])
        for (const { counters } of scopes.values()) resetCounters(counters);
    },
  };
}

export function statPrefixes({ chains, defaultChain }: Listener): string[] {
  return [...chains, ...(defaultChain ? [defaultChain] : [])].map((chain) => chain.http.statPrefix);
}

function removeExcept(map: Map<string, unknown>, keeps: (key: string) => boolean): void {
  for (const key of map.keys()) if (!keeps(key)) map.delete(key);
}
