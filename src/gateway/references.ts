import { getOrCreate } from "../get-or-create.ts";
import { typeUrls } from "../xds/type-urls.ts";
import type { Cluster } from "./cluster-config.ts";
import type { FilterChain, GatewayConfig, Listener, ReceivedType, TlsValidation } from "./gateway-config.ts";

/** Names of resources that others refer to, and that a gateway therefore asks for. */
export interface References {
  readonly endpoints: ReadonlySet<string>;
  readonly routes: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly extensionConfigs: ReadonlySet<string>;
}

export type ReferredKey = keyof References;

/** The types that are asked for by name. */
export const referredTypes: Readonly<Record<ReferredKey, string>> = {
  endpoints: typeUrls.endpoints,
  secrets: typeUrls.secret,
  extensionConfigs: typeUrls.extensionConfig,
  routes: typeUrls.routes,
};

const none: ReadonlySet<string> = new Set();
const listenerReferences = new WeakMap<Listener, References>();
const clusterReferences = new WeakMap<Cluster, References>();

/** What a listener waits for before it serves. */
export function referencesOfListener(listener: Listener): References {
  return getOrCreate(listenerReferences, listener, () => {
    const chains = [...listener.chains, ...(listener.defaultChain ? [listener.defaultChain] : [])];
    return {
      endpoints: none,
      routes: new Set(chains.flatMap(({ http }) => (http.routes.kind === "name" ? [http.routes.name] : []))),
      secrets: new Set(chains.flatMap(secretsOfChain)),
      extensionConfigs: new Set(
        chains.flatMap(({ http }) =>
          http.filters.flatMap((slot) => (slot.kind === "discovery" ? [slot.name] : [])),
        ),
      ),
    };
  });
}

function secretsOfChain({ tls }: FilterChain): string[] {
  return tls ? [...tls.certificateNames, ...secretOf(tls.validation)] : [];
}

function secretOf(validation: TlsValidation | undefined): string[] {
  return validation?.secretName === undefined ? [] : [validation.secretName];
}

/** What a cluster waits for before it is used. */
export function referencesOfCluster(cluster: Cluster): References {
  return getOrCreate(clusterReferences, cluster, () => ({
    endpoints: cluster.discovery === "eds" ? new Set([cluster.assignmentName]) : none,
    routes: none,
    secrets: cluster.tls
      ? new Set([...cluster.tls.certificateNames, ...secretOf(cluster.tls.validation)])
      : none,
    extensionConfigs: none,
  }));
}

/** Everything that listeners and clusters refer to: those that were received, and those that serve still. */
export function collectReferences(
  listeners: ReceivedType<Listener>["accepted"],
  clusters: ReceivedType<Cluster>["accepted"],
  serving: GatewayConfig["listeners"],
): References {
  const all = {
    endpoints: new Set<string>(),
    routes: new Set<string>(),
    secrets: new Set<string>(),
    extensionConfigs: new Set<string>(),
  };
  const add = (references: References) => {
    for (const key of Object.keys(all) as ReferredKey[])
      for (const name of references[key]) all[key].add(name);
  };
  for (const { config } of listeners.values()) add(referencesOfListener(config));
  for (const { config } of clusters.values()) add(referencesOfCluster(config));
  for (const listener of serving.values()) add(referencesOfListener(listener));
  return all;
}
