import type { Log } from "../log.ts";
import {
  createPluginHost,
  createStores,
  LogLevel,
  type LogRecord,
  type Stores,
} from "../proxy-wasm/index.ts";
import { errorText } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import { type AccessLogs, createAccessLogs } from "./access-log.ts";
import { type ActiveClusters, createActiveClusters } from "./active-clusters.ts";
import type { GatewayConfig, Listener } from "./gateway-config.ts";
import { createGatewayOutside } from "./gateway-outside.ts";
import { createGatewayStats, type GatewayStats } from "./gateway-stats.ts";
import type { StreamWorld } from "./http-stream.ts";
import { withLastGood } from "./last-good-filters.ts";
import { createPluginRegistry, type PluginRegistry, type WasmFilterConfig } from "./plugin-registry.ts";
import { type ActiveListener, type PlannedChain, serveListener } from "./serve-listener.ts";
import { createFilterMaker, planStreams, wasmConfigs } from "./stream-plans.ts";
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
  readonly onPluginLog?: (record: LogRecord) => void;
  /** A plugin of a new configuration does not run; what was there before stays. */
  readonly onPluginRefused?: (config: WasmFilterConfig, reason: string) => void;
}

/** A gateway that serves what its configuration says. */
export interface Gateway {
  /** The plugins: who has a configuration to check starts it here first. */
  readonly plugins: PluginRegistry;
  readonly clusters: ActiveClusters;
  readonly stats: GatewayStats;
  /** The ports of the listeners, by name; a listener that could not be opened is not there. */
  readonly listeners: ReadonlyMap<string, ActiveListener>;
  /** The configuration that is in effect. */
  readonly config: GatewayConfig | undefined;
  /** Settles when everything that was set so far is in effect. */
  settled(): Promise<void>;
  /** Resolves when the last connection has ended after `signal`. */
  readonly closed: Promise<void>;
}

const defaultDrainMs = 10_000;

export function startGateway(options: GatewayOptions): Gateway {
  const { log, signal } = options;
  const stats = createGatewayStats();
  const logs = createAccessLogs();
  const upstreamTls = createUpstreamTls();
  const clusters = createActiveClusters((cluster, protocols, serverName) =>
    upstreamTls(cluster, (latest ?? options.config.value)?.secrets ?? new Map(), protocols, serverName),
  );
  const outside = createGatewayOutside({
    clusters,
    stores: options.stores ?? createStores(),
    log,
    logLevel: options.pluginLogLevel ?? LogLevel.Info,
    onPluginLog: options.onPluginLog,
    signal,
  });
  const plugins = createPluginRegistry(createPluginHost(outside));
  const world = createWorld(clusters, stats, logs);
  const listeners = new Map<string, ActiveListener>();
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
    clusters,
    stats,
    listeners,
    get config() {
      return current;
    },
    async settled() {
      let seen: Promise<void>;
      do {
        seen = applying;
        await seen;
      } while (seen !== applying);
    },
    closed,
  };

  /** What needs no waiting is in effect when this returns. */
  function take(next: GatewayConfig): void {
    latest = next;
    const missing = [...wasmConfigs(next)].filter(
      (config) => !plugins.find(config) && !plugins.refusal(config),
    );
    if (missing.length === 0) apply(next);
    else
      applying = Promise.all([applying, startAll(missing)]).then(() =>
        latest === next ? apply(next) : undefined,
      );
  }

  async function startAll(configs: readonly WasmFilterConfig[]): Promise<void> {
    await Promise.all(
      configs.map(async (config) => {
        try {
          await plugins.start(config);
        } catch (error) {
          log.error({ plugin: config.name, reason: errorText(error) }, "a plugin does not run");
          options.onPluginRefused?.(config, errorText(error));
        }
      }),
    );
  }

  function apply(received: GatewayConfig): void {
    const next = withLastGood(received, current, (config) => plugins.refusal(config) === undefined);
    clusters.apply(next.clusters);
    current = next;
    for (const listener of next.listeners.values()) applyListener(listener, next);
    for (const [name, active] of listeners) {
      if (next.listeners.has(name)) continue;
      listeners.delete(name);
      void active.drain();
    }
    plugins.keep(new Set(wasmConfigs(next)));
  }

  function applyListener(listener: Listener, config: GatewayConfig): void {
    const chains = plannedChains(listener, config);
    const known = listeners.get(listener.name);
    if (known) known.update(listener, chains);
    else applying = Promise.all([applying, open(listener, chains)]).then(() => {});
  }

  async function open(listener: Listener, chains: readonly PlannedChain[]): Promise<void> {
    if (!listener.bindsToPort) return;
    try {
      const active = await serveListener(listener, chains, world);
      listeners.set(listener.name, active);
      const newest = current?.listeners.get(listener.name);
      if (signal.aborted || !newest) void active.drain();
      else active.update(newest, plannedChains(newest, current!));
    } catch (error) {
      log.error({ listener: listener.name, reason: errorText(error) }, "a listener is not open");
    }
  }

  function plannedChains(listener: Listener, config: GatewayConfig): PlannedChain[] {
    const all = listener.defaultChain ? [...listener.chains, listener.defaultChain] : listener.chains;
    return all.map((chain) => ({
      chain,
      secure: chain.tls && contexts.find(chain.tls, config.secrets),
      plan: planStreams(listener, chain.name, chain.http, config, maker),
    }));
  }

  async function shutDown(): Promise<void> {
    const active = [...listeners.values()];
    const timer = setTimeout(() => {
      for (const each of active) each.destroy();
    }, options.drainMs ?? defaultDrainMs);
    await Promise.all(active.map((each) => each.drain()));
    clearTimeout(timer);
    plugins.close();
    clusters.close();
    logs.close();
  }
}

function createWorld(clusters: ActiveClusters, stats: GatewayStats, logs: AccessLogs): StreamWorld {
  return {
    clusters,
    onStreamEnd(stream) {
      stats.count(stream);
      logs.write(stream);
    },
  };
}
