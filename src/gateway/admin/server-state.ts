import type { RunningGateway } from "../gateway.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import type { ServerStateName } from "./server-info.ts";

/** What a gateway says of its state. */
export interface ServerState {
  readonly state: ServerStateName;
  readonly uptimeSeconds: number;
  /** Milliseconds from the start until it was LIVE; undefined before. */
  readonly initializationMs: number | undefined;
  /** `/healthcheck/fail`: who asks is told to go elsewhere. */
  setHealthy(healthy: boolean): void;
}

export function createServerState(gateway: RunningGateway): ServerState {
  const startedMs = performance.now();
  let isHealthy = true;
  let initializationMs: number | undefined;
  const update = () => {
    if (initializationMs === undefined && isComplete(gateway.config))
      initializationMs = performance.now() - startedMs;
    return initializationMs;
  };
  return {
    get state() {
      if (gateway.isDraining || !isHealthy) return "DRAINING";
      if (update() !== undefined) return "LIVE";
      return gateway.config?.received.clusters.version ? "INITIALIZING" : "PRE_INITIALIZING";
    },
    get uptimeSeconds() {
      return Math.floor((performance.now() - startedMs) / 1000);
    },
    get initializationMs() {
      return update();
    },
    setHealthy(healthy) {
      isHealthy = healthy;
    },
  };
}

/** Listeners have come, be there none of them, and nothing waits. */
function isComplete(config: GatewayConfig | undefined): boolean {
  if (!config || config.warmingListeners.size + config.warmingClusters.size > 0) return false;
  return config.listeners.size > 0 || config.received.listeners.version !== "";
}
