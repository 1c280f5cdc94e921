import type { GatewayConfig, Listener } from "./gateway-config.ts";
import { createOpenPorts, type OpenPort, type OpenPorts } from "./open-ports.ts";
import type { WasmFilterConfig } from "./plugin-registry.ts";
import { type ActiveListener, type PlannedChain, serveListener } from "./serve-listener.ts";
import type { StreamWorld } from "./stream-plan.ts";

export interface ActiveListenersOptions {
  readonly world: StreamWorld;
  /** How long connections of a listener that is gone may stay. */
  readonly drainMs: number;
  /** Listens at ports beside other threads. */
  readonly sharePorts?: boolean;
  /** Of a listener; any number if it is left out. */
  readonly maxConnections?: number | undefined;
  /** Told when plugins that only old connections met may not be needed any more. */
  onUnused(): void;
}

/** The listeners that serve, at the ports that are open for them. */
export interface ActiveListeners {
  readonly all: ReadonlyMap<string, ActiveListener>;
  readonly ports: OpenPorts;
  /** Takes new listeners over; `plan` says what their streams run by. Those without an open port are left out. */
  apply(config: GatewayConfig, plan: (listener: Listener) => PlannedChain[]): void;
  /** The plugins that connections may meet whose listener or filter chain is not in the configuration any more. */
  pluginsInUse(): Iterable<WasmFilterConfig>;
  /** No new connections; those that are there end with their requests. Resolves when none is left. */
  close(): Promise<void>;
  /** As `close`, for these; others go on. */
  stop(names: Iterable<string>): void;
  /** Ends all connections. */
  destroy(): void;
}

interface Served {
  readonly at: OpenPort;
  readonly listener: ActiveListener;
}

/**
 * Serves listeners. One whose address changes begins at the new one before it ends at the old, where connections end with
 * their next response; any other change takes effect on the connections that are there.
 */
export function createActiveListeners({
  world,
  drainMs,
  sharePorts,
  onUnused,
  maxConnections,
}: ActiveListenersOptions): ActiveListeners {
  const ports = createOpenPorts(sharePorts);
  const served = new Map<string, Served>();
  const active = new Map<string, ActiveListener>();
  const retiring = new Set<ActiveListener>();
  return {
    all: active,
    ports,
    apply(config, plan) {
      for (const listener of config.listeners.values()) serve(listener, plan);
      for (const name of served.keys()) if (!config.listeners.has(name)) retire(name);
      ports.keep(boundListeners(config));
    },
    *pluginsInUse() {
      for (const listener of [...active.values(), ...retiring]) yield* listener.plugins();
    },
    async close() {
      ports.close();
      await Promise.all([...active.values(), ...retiring].map((each) => each.drain()));
    },
    stop(names) {
      for (const name of names) {
        const known = served.get(name);
        if (!known) continue;
        ports.stop(known.at);
        void known.listener.drain();
      }
    },
    destroy() {
      for (const listener of [...active.values(), ...retiring]) listener.destroy();
    },
  };

  function serve(listener: Listener, plan: (listener: Listener) => PlannedChain[]): void {
    const { name } = listener;
    const at = ports.find(listener);
    const known = served.get(name);
    if (known && (known.at === at || !at)) {
      known.listener.update(plan(listener));
      return;
    }
    if (!at || !listener.bindsToPort) return;
    if (known) retire(name);
    const begun = serveListener({
      listener,
      port: at.port,
      chains: plan(listener),
      maxConnections,
      world,
      onChainUnused: onUnused,
    });
    served.set(name, { at, listener: begun });
    active.set(name, begun);
    at.accept = begun.accept;
  }

  function retire(name: string): void {
    const { at, listener } = served.get(name)!;
    served.delete(name);
    active.delete(name);
    // Another listener may have taken the port over.
    if (at.accept === listener.accept) at.accept = undefined;
    retiring.add(listener);
    const timer = setTimeout(() => listener.destroy(), drainMs);
    timer.unref();
    void listener.retire().then(() => {
      clearTimeout(timer);
      retiring.delete(listener);
      onUnused();
    });
  }
}

/** The listeners of a configuration that have a port, with those that wait for something. */
export function boundListeners(config: GatewayConfig): Listener[] {
  const all = [...config.listeners.values(), ...config.warmingListeners.values()];
  return all.filter(({ bindsToPort }) => bindsToPort);
}
