import type { Log } from "../log.ts";
import {
  createPluginHost,
  createStores,
  type Heartbeat,
  LogLevel,
  type LogRecord,
  type Plugin,
  type PluginHost,
  type Stores,
} from "../proxy-wasm/index.ts";
import type { Recording, RecordingWish } from "../proxy-wasm/recording.ts";
import { errorText, SystemError } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import { type AccessLogs, createAccessLogs } from "./access-log.ts";
import { type ActiveClusters, createActiveClusters } from "./active-clusters.ts";
import { type ActiveListeners, boundListeners, createActiveListeners } from "./active-listeners.ts";
import type { GatewayConfig, Listener } from "./gateway-config.ts";
import { createGatewayOutside } from "./gateway-outside.ts";
import { type GatewaySnapshot, type OpenListener, takeSnapshot } from "./gateway-snapshot.ts";
import { createGatewayStats, type GatewayStats } from "./gateway-stats.ts";
import { createPluginRegistry, type PluginRegistry, type WasmFilterConfig } from "./plugin-registry.ts";
import { createPluginWords, type PluginWords } from "./plugin-words.ts";
import type { Preparers } from "./prepare-updates.ts";
import { createRecorder, recordOnce } from "./record/recorder.ts";
import type { ActiveListener, PlannedChain } from "./serve-listener.ts";
import { createSharedBuckets } from "./shared-buckets.ts";
import { resetClusterStats } from "./stats/cluster-stats.ts";
import type { StreamWorld } from "./stream-plan.ts";
import {
  createFilterMaker,
  planStreams,
  wasmConfigs,
  wasmConfigsOf,
  wasmOf,
  wasmOfConnection,
} from "./stream-plans.ts";
import { createContextCache } from "./tls-contexts.ts";
import { createUpstreamTls } from "./upstream-tls.ts";

export interface GatewayOptions {
  readonly config: Watchable<GatewayConfig>;
  readonly log: Log;
  /** Ends the gateway: connections end with their requests, or when `drainMs` is over. */
  readonly signal: AbortSignal;
  readonly drainMs?: number;
  readonly stores?: Stores;
  readonly pluginLogLevel?: LogLevel;
  /** What a listener may have open at a time; more are closed at once. Any number if it is left out. */
  readonly maxConnections?: number | undefined;
  readonly onPluginLog?: (record: LogRecord) => void;
  /** A plugin that was serving has lost its Vm: its fail strategy decides from now on. */
  readonly onPluginTrap?: (plugin: string, reason: string) => void;
  /** How long connections of listeners that are gone may stay; 600 s, as in Envoy, if it is left out. */
  readonly listenerDrainMs?: number;
  /** Listens at ports beside other threads, whatever the listeners say, and counts with them what routes limit. */
  readonly sharePorts?: boolean;
  /** Beats while guests run. */
  readonly heartbeat?: Heartbeat;
  readonly createPlugins?: (host: PluginHost, words: PluginWords) => PluginRegistry;
}

/** What somebody may have a gateway do, in all of its threads. Plain data. */
export type GatewayAction =
  | { readonly kind: "reset-counters" }
  /** No new connections at these listeners; those that are there end with their requests. */
  | { readonly kind: "drain-listeners"; readonly names: readonly string[] }
  /** Access logs are opened anew. */
  | { readonly kind: "reopen-logs" }
  | { readonly kind: "plugin-log-level"; readonly level: LogLevel };

/** A gateway that serves what its configuration says, in however many threads. */
export interface RunningGateway {
  /** What has to be done before a resource can be in effect: plugins run, ports are open. */
  readonly preparers: Preparers;
  /** The ports of the listeners, by name; a listener that could not be opened is not there. */
  readonly listeners: ReadonlyMap<string, OpenListener>;
  /** What plugins share, in all threads. */
  readonly stores: Stores;
  /** It ends, and takes no more connections. */
  readonly isDraining: boolean;
  /** Does something in all threads. */
  control(action: GatewayAction): Promise<void>;
  /**
   * Records the next request that fits, as a plugin meets it; the wish ends with the signal.
   * @throws SystemError `cancelled`, `too-large`, `not-found`
   */
  record(wish: RecordingWish, signal: AbortSignal): Promise<Recording>;
  /** The configuration that is in effect. */
  readonly config: GatewayConfig | undefined;
  /** What it counts and has open now. */
  snapshot(): Promise<GatewaySnapshot>;
  /** Settles when everything that was set so far is in effect. */
  settled(): Promise<void>;
  /** Resolves when the last connection has ended after `signal`. */
  readonly closed: Promise<void>;
}

/** A gateway in this thread. */
export interface Gateway extends RunningGateway {
  readonly plugins: PluginRegistry;
  readonly clusters: ActiveClusters;
  readonly stats: GatewayStats;
  readonly listeners: ReadonlyMap<string, ActiveListener>;
}

const defaultDrainMs = 10_000;
const defaultListenerDrainMs = 600_000;

export function startGateway(options: GatewayOptions): Gateway {
  const { log, signal } = options;
  const stats = createGatewayStats();
  const stores = options.stores ?? createStores();
  let pluginLogLevel = options.pluginLogLevel ?? LogLevel.Info;
  const logs = createAccessLogs();
  const upstreamTls = createUpstreamTls();
  const clusters = createActiveClusters((cluster, protocols, serverName) =>
    upstreamTls(cluster, (latest ?? options.config.value)?.secrets ?? new Map(), protocols, serverName),
  );
  const outside = createGatewayOutside({
    clusters,
    stores,
    log,
    logLevel: () => pluginLogLevel,
    onPluginLog: options.onPluginLog,
    onPluginTrap: options.onPluginTrap,
    signal,
  });
  const { outside: recorded, recorder } = createRecorder(outside, runningPlugins);
  const { outside: heard, words } = createPluginWords(recorded);
  const { createPlugins = createPluginRegistry, heartbeat, sharePorts } = options;
  const plugins = createPlugins(createPluginHost(heard, { heartbeat }), words);
  const listeners = createActiveListeners({
    world: {
      ...createWorld(clusters, stats, logs),
      recorder,
      ...(sharePorts && { buckets: createSharedBuckets(stores) }),
    },
    drainMs: options.listenerDrainMs ?? defaultListenerDrainMs,
    sharePorts,
    maxConnections: options.maxConnections,
    onUnused: keepPlugins,
  });
  const preparers = createPreparers(plugins, listeners);
  const maker = createFilterMaker(plugins);
  const contexts = createContextCache();
  let current: GatewayConfig | undefined;
  let latest: GatewayConfig | undefined;
  let applying: Promise<void> = Promise.resolve();
  options.config.watch((next) => take(next), signal);
  const closed = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => void shutDown().then(resolve), { once: true });
  });
  return {
    plugins,
    preparers,
    clusters,
    stats,
    listeners: listeners.all,
    stores,
    get isDraining() {
      return signal.aborted;
    },
    async control(action) {
      carryOut(action);
    },
    record: (wish, until) => recordOnce(recorder, wish, until),
    get config() {
      return current;
    },
    snapshot: async () =>
      takeSnapshot({ stats, clusters, listeners: listeners.all, plugins, config: current }),
    async settled() {
      let seen: Promise<void>;
      do {
        seen = applying;
        await seen;
      } while (seen !== applying);
    },
    closed,
  };

  function carryOut(action: GatewayAction): void {
    switch (action.kind) {
      case "reset-counters":
        stats.reset();
        for (const { use } of clusters.all.values()) resetClusterStats(use.stats);
        return;
      case "drain-listeners":
        listeners.stop(action.names);
        return;
      case "reopen-logs":
        logs.reopen();
        return;
      case "plugin-log-level":
        pluginLogLevel = action.level;
    }
  }

  function* runningPlugins(): Iterable<readonly [WasmFilterConfig, Plugin | undefined]> {
    const known = [...(current ? wasmConfigs(current) : []), ...listeners.pluginsInUse()];
    for (const each of known) yield [each, plugins.find(each)];
  }

  /** What is ready is in effect when this returns. */
  function take(next: GatewayConfig): void {
    latest = next;
    const unready = unreadyOf(next);
    if (unready.length === 0) {
      apply(next);
      return;
    }
    // As in Envoy clusters come before those who call them: plugins do when they are configured.
    clusters.apply(new Map([...(current?.clusters ?? []), ...next.clusters]));
    applying = Promise.all([applying, applyPrepared(next, unready)]).then(() => {});
  }

  /** What nobody has prepared. */
  function unreadyOf(next: GatewayConfig): ((wanted: AbortSignal) => Promise<unknown>)[] {
    const unstarted = [...wasmConfigs(next)].filter(
      (config) => !plugins.find(config) && !plugins.refusal(config),
    );
    const unopened = boundListeners(next).filter((listener) => !listeners.ports.find(listener));
    return [
      ...unstarted.map((config) => (wanted: AbortSignal) => plugins.start(config, wanted)),
      ...unopened.map((listener) => (wanted: AbortSignal) => listeners.ports.open(listener, wanted)),
    ];
  }

  async function applyPrepared(
    next: GatewayConfig,
    unready: readonly ((wanted: AbortSignal) => Promise<unknown>)[],
  ): Promise<void> {
    const wanted = new AbortController();
    await Promise.all(
      unready.map((prepare) =>
        prepare(wanted.signal).catch((error) =>
          log.error({ reason: errorText(error) }, "a part of the configuration is not in effect"),
        ),
      ),
    );
    if (latest === next && !signal.aborted) apply(next);
    wanted.abort();
  }

  function apply(next: GatewayConfig): void {
    clusters.apply(next.clusters);
    current = next;
    listeners.apply(next, (listener) => plannedChains(listener, next));
    keepPlugins();
    stats.keep(next);
  }

  function keepPlugins(): void {
    plugins.keep(new Set([...(current ? wasmConfigs(current) : []), ...listeners.pluginsInUse()]));
  }

  function plannedChains(listener: Listener, config: GatewayConfig): PlannedChain[] {
    const all = listener.defaultChain ? [...listener.chains, listener.defaultChain] : listener.chains;
    return all.map((chain) => ({
      chain,
      secure: chain.tls && contexts.find(chain.tls, config.secrets),
      plan: planStreams(listener, chain.name, chain.http, config, maker),
      plugins: wasmOfConnection(chain.http, config),
    }));
  }

  async function shutDown(): Promise<void> {
    const timer = setTimeout(() => listeners.destroy(), options.drainMs ?? defaultDrainMs);
    await listeners.close();
    clearTimeout(timer);
    plugins.close();
    clusters.close();
    logs.close();
  }
}

function createPreparers(plugins: PluginRegistry, { ports }: ActiveListeners): Preparers {
  return {
    extensionConfigs: (filter, signal) => startAll(wasmOf(filter), signal),
    async listeners(listener, signal) {
      const opened = listener.bindsToPort && ports.open(listener, signal);
      await Promise.all([startAll(wasmConfigsOf(listener), signal), opened]);
    },
  };

  /** Says of all that do not start why. */
  async function startAll(configs: Iterable<WasmFilterConfig>, signal: AbortSignal): Promise<void> {
    const started = await Promise.allSettled([...configs].map((config) => plugins.start(config, signal)));
    const reasons = started.flatMap((each) => (each.status === "rejected" ? [errorText(each.reason)] : []));
    if (reasons.length > 0) throw new SystemError("plugin-start", reasons.join("; "));
  }
}

function createWorld(
  clusters: ActiveClusters,
  stats: GatewayStats,
  logs: AccessLogs,
): Omit<StreamWorld, "recorder"> {
  return {
    clusters,
    stats,
    onStreamEnd(stream) {
      stats.endStream(stream);
      logs.write(stream);
    },
  };
}
