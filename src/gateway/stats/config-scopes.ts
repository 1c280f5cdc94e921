import type { GatewayConfig, Listener } from "../gateway-config.ts";
import type { Changes, ConfigUpdates, ReceivedKey, Updates } from "./config-updates.ts";
import { prefixLabel } from "./http-stats.ts";
import { type Figures, plainScope } from "./stat-scope.ts";
import type { Label, ScopeSnapshot, StatsSnapshot } from "./stats-snapshot.ts";
import { versionHash } from "./version-hash.ts";

/** What else there is to say of where a configuration comes from. */
export interface ConfigSourceState {
  /** The stream of ADS is there. */
  readonly isConnected: boolean;
  /** Listeners that accept connections. */
  readonly openListeners: number;
  readonly threads: number;
}

/** Figures of what a gateway was told, by Envoy's names. */
export function configScopes(
  config: GatewayConfig,
  updates: ConfigUpdates,
  state: ConfigSourceState,
): StatsSnapshot {
  const named = (key: ReceivedKey) =>
    [...config.received[key].accepted.values()].map(({ name }) => ({
      name,
      figures: updateFigures(updates.ofResource(key, name), config.received[key].version),
    }));
  const ofType = (key: ReceivedKey) => updateFigures(updates.ofType(key), config.received[key].version);
  return [
    plainScope("control_plane.", {
      counters: { rate_limit_enforced: 0 },
      gauges: { connected_state: state.isConnected ? 1 : 0, pending_requests: 0 },
      texts: { identifier: "" },
    }),
    plainScope("cluster_manager.", clusterFigures(config, updates.clusters)),
    plainScope("cluster_manager.cds.", withReload(ofType("clusters"))),
    plainScope("listener_manager.", listenerFigures(config, updates.listeners, state)),
    plainScope("listener_manager.lds.", ofType("listeners")),
    ...named("endpoints").flatMap(({ name, figures }) => endpointScopes(config, name, figures)),
    ...named("extensionConfigs").map(({ name, figures }) => extensionScope(name, figures)),
    ...named("routes").flatMap(({ name, figures }) => routeScopes(config, name, figures)),
    ...named("secrets").map(({ name, figures }) => secretScope(name, figures)),
  ];
}

function updateFigures({ successes, rejections, updatedAt }: Updates, version: string): Figures {
  return {
    counters: {
      init_fetch_timeout: 0,
      // Each answer is an answer to a request, and one is asked for still.
      update_attempt: successes + rejections + 1,
      update_failure: 0,
      update_rejected: rejections,
      update_success: successes,
    },
    gauges: { update_time: updatedAt, version: updatedAt > 0 ? versionHash(version) : 0 },
    texts: updatedAt > 0 ? { version_text: version } : {},
    histograms: { update_duration: [] },
  };
}

function withReload(figures: Figures): Figures {
  const { update_success = 0 } = figures.counters ?? {};
  return {
    ...figures,
    counters: { ...figures.counters, config_reload: update_success },
    gauges: { ...figures.gauges, config_reload_time_ms: figures.gauges?.update_time ?? 0 },
  };
}

function clusterFigures(
  { clusters, warmingClusters }: GatewayConfig,
  { added, modified, removed }: Changes,
): Figures {
  return {
    counters: {
      cluster_added: added,
      cluster_modified: modified,
      cluster_removed: removed,
      cluster_updated: 0,
      cluster_updated_via_merge: 0,
      update_merge_cancelled: 0,
      update_out_of_merge_window: 0,
    },
    gauges: { active_clusters: clusters.size, warming_clusters: warmingClusters.size },
  };
}

function listenerFigures(
  { warmingListeners }: GatewayConfig,
  { added, modified, removed }: Changes,
  { openListeners, threads }: ConfigSourceState,
): Figures {
  return {
    counters: {
      listener_added: added,
      listener_create_failure: 0,
      listener_create_success: added + modified,
      listener_in_place_updated: modified,
      listener_modified: modified,
      listener_removed: removed,
      listener_stopped: 0,
    },
    gauges: {
      total_filter_chains_draining: 0,
      total_listeners_active: openListeners,
      total_listeners_draining: 0,
      total_listeners_warming: warmingListeners.size,
      workers_pinned: 0,
      workers_started: threads,
    },
  };
}

/** Endpoints are figures of the clusters that they are for. */
function endpointScopes({ clusters }: GatewayConfig, assignment: string, figures: Figures): ScopeSnapshot[] {
  const of = [...clusters.values()].filter(
    ({ discovery, assignmentName }) => discovery === "eds" && assignmentName === assignment,
  );
  return of.map(({ statName }) => {
    const name = statName.replaceAll(":", "_");
    return labelled(`cluster.${name}.`, "cluster.", [["envoy_cluster_name", name]], figures);
  });
}

function extensionScope(name: string, figures: Figures): ScopeSnapshot {
  const prefix = "extension_config_discovery.http_filter.";
  const { update_success = 0 } = figures.counters ?? {};
  const counters = { ...figures.counters, config_conflict: 0, config_fail: 0, config_reload: update_success };
  return labelled(`${prefix}${name}.`, prefix, [["extension_config", name]], { ...figures, counters });
}

/** Routes are figures of the first connection manager that takes them, as in Envoy. */
function routeScopes(config: GatewayConfig, name: string, figures: Figures): ScopeSnapshot[] {
  const prefixes = [...config.listeners.values()].flatMap((listener) => prefixesWith(listener, name));
  const reloaded = withReload(figures);
  const counters = { ...reloaded.counters, update_empty: 0 };
  return prefixes.slice(0, 1).map((statPrefix) => {
    const labels: Label[] = [["envoy_rds_route_config", name], prefixLabel(statPrefix)];
    return labelled(`http.${statPrefix}.rds.${name}.`, "http.rds.", labels, { ...reloaded, counters });
  });
}

function prefixesWith({ chains, defaultChain }: Listener, routes: string): string[] {
  return [...chains, ...(defaultChain ? [defaultChain] : [])]
    .filter(({ http }) => http.routes.kind === "name" && http.routes.name === routes)
    .map(({ http }) => http.statPrefix);
}

function secretScope(name: string, figures: Figures): ScopeSnapshot {
  const counters = { ...figures.counters, key_rotation_failed: 0 };
  return labelled(`sds.${name}.`, "sds.", [["envoy_xds_resource_name", name]], { ...figures, counters });
}

function labelled(
  prefix: string,
  metricPrefix: string,
  labels: readonly Label[],
  figures: Figures,
): ScopeSnapshot {
  return { ...plainScope(prefix, figures, labels), metricPrefix };
}
