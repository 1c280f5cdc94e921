import { getOrCreate } from "../get-or-create.ts";
import type { Cluster, Endpoints } from "./cluster-config.ts";
import type { GatewayConfig, Listener, ReceivedType } from "./gateway-config.ts";
import {
  collectReferences,
  type References,
  type ReferredKey,
  referencesOfCluster,
  referencesOfListener,
} from "./references.ts";

/**
 * Puts into effect what of the received resources can be: clusters with their endpoints, listeners for which everything
 * is there. What is not ready waits, and its version before stays. Names that nobody refers to any longer are forgotten.
 */
export function settle(next: GatewayConfig, before: GatewayConfig): GatewayConfig {
  const withClusters = settleClusters(next, before);
  const withListeners = settleListeners(withClusters);
  return forgetUnreferred(withConfigs(withListeners, before), before);
}

/** The maps by name of what is accepted; each stays the same while its type does. */
function withConfigs(next: GatewayConfig, before: GatewayConfig): GatewayConfig {
  const { received } = next;
  const old = before.received;
  return {
    ...next,
    routes: received.routes.accepted === old.routes.accepted ? before.routes : configsOf(received.routes),
    secrets:
      received.secrets.accepted === old.secrets.accepted ? before.secrets : configsOf(received.secrets),
    extensionConfigs:
      received.extensionConfigs.accepted === old.extensionConfigs.accepted
        ? before.extensionConfigs
        : configsOf(received.extensionConfigs),
  };
}

function configsOf<T>({ accepted }: ReceivedType<T>): ReadonlyMap<string, T> {
  const configs = new Map<string, T>();
  for (const [name, { config }] of accepted) configs.set(name, config);
  return configs;
}

/** Whether everything is there that is referred to, or is known not to exist. */
function isReady({ received }: GatewayConfig, references: References): boolean {
  const isThere = (key: ReferredKey) => {
    const { accepted, missing } = received[key];
    for (const name of references[key]) {
      // Unlike Envoy: a name that the server does not have is not waited for until a timeout, unless it is a secret.
      if (!accepted.has(name) && (key === "secrets" || !missing.has(name))) return false;
    }
    return true;
  };
  return isThere("endpoints") && isThere("routes") && isThere("secrets") && isThere("extensionConfigs");
}

function settleClusters(next: GatewayConfig, before: GatewayConfig): GatewayConfig {
  const { clusters: source, endpoints, secrets } = next.received;
  const old = before.received;
  if (source === old.clusters && endpoints === old.endpoints && secrets === old.secrets) return next;
  const clusters = new Map<string, Cluster>();
  const warming = new Map<string, Cluster>();
  for (const [name, { config }] of source.accepted) {
    if (isReady(next, referencesOfCluster(config))) {
      clusters.set(name, withEndpoints(config, endpoints));
      continue;
    }
    warming.set(name, config);
    const serving = before.clusters.get(name);
    if (serving) clusters.set(name, serving);
  }
  return { ...next, clusters, warmingClusters: warming };
}

const merged = new WeakMap<Cluster, WeakMap<Endpoints, Cluster>>();

function withEndpoints(cluster: Cluster, { accepted }: ReceivedType<Endpoints>): Cluster {
  const endpoints = cluster.discovery === "eds" && accepted.get(cluster.assignmentName)?.config;
  if (!endpoints) return cluster;
  const known = getOrCreate(merged, cluster, () => new WeakMap<Endpoints, Cluster>());
  return getOrCreate(known, endpoints, () => ({ ...cluster, endpoints }));
}

function settleListeners(next: GatewayConfig): GatewayConfig {
  const listeners = new Map<string, Listener>();
  const warming = new Map<string, Listener>();
  for (const [name, { config }] of next.received.listeners.accepted) {
    const serving = next.listeners.get(name);
    if (config === serving || isReady(next, withoutDefaults(config))) listeners.set(name, config);
    else {
      warming.set(name, config);
      if (serving) listeners.set(name, serving);
    }
  }
  return {
    ...next,
    listeners: sameEntries(listeners, next.listeners) ? next.listeners : listeners,
    warmingListeners: sameEntries(warming, next.warmingListeners) ? next.warmingListeners : warming,
  };
}

/** Slots whose default counts at once are not waited for. */
function withoutDefaults(listener: Listener): References {
  const references = referencesOfListener(listener);
  const chains = [...listener.chains, ...(listener.defaultChain ? [listener.defaultChain] : [])];
  const waiting = chains.flatMap(({ http }) =>
    http.filters.flatMap((slot) =>
      slot.kind === "discovery" && !slot.applyDefaultWithoutWarming ? [slot.name] : [],
    ),
  );
  return { ...references, extensionConfigs: new Set(waiting) };
}

/** Whether two maps hold the same values by the same names. */
export function sameEntries<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of a) if (b.get(name) !== value) return false;
  return true;
}

/** Drops what is not referred to; only a change of listeners or clusters can make it so. */
function forgetUnreferred(next: GatewayConfig, before: GatewayConfig): GatewayConfig {
  const sameReferrers =
    next.received.listeners.accepted === before.received.listeners.accepted &&
    next.received.clusters.accepted === before.received.clusters.accepted &&
    next.listeners === before.listeners;
  if (sameReferrers) return next;
  const { received } = next;
  const references = collectReferences(
    received.listeners.accepted,
    received.clusters.accepted,
    next.listeners,
  );
  const kept = {
    ...received,
    endpoints: only(received.endpoints, references.endpoints),
    routes: only(received.routes, references.routes),
    secrets: only(received.secrets, references.secrets),
    extensionConfigs: only(received.extensionConfigs, references.extensionConfigs),
  };
  return withConfigs({ ...next, received: kept }, next);
}

function only<T>(type: ReceivedType<T>, names: ReadonlySet<string>): ReceivedType<T> {
  const isKept = (name: string) => names.has(name);
  const all = [...type.accepted.keys(), ...type.refused.keys(), ...type.missing];
  if (all.every(isKept)) return type;
  return {
    ...type,
    accepted: new Map([...type.accepted].filter(([name]) => isKept(name))),
    refused: new Map([...type.refused].filter(([name]) => isKept(name))),
    missing: new Set([...type.missing].filter(isKept)),
  };
}
