import { typeUrls } from "../../xds/type-urls.ts";
import { applyResponse, type ConfigUpdate, emptyConfig } from "../apply-response.ts";
import type { GatewayConfig, Received, ReceivedType } from "../gateway-config.ts";
import type { ReceivedKey } from "../resource-kinds.ts";

/** In this order nothing refers to what is not there yet, so that nothing is forgotten in between. */
const order: readonly (readonly [ReceivedKey, string])[] = [
  ["clusters", typeUrls.cluster],
  ["endpoints", typeUrls.endpoints],
  ["secrets", typeUrls.secret],
  ["extensionConfigs", typeUrls.extensionConfig],
  ["routes", typeUrls.routes],
  ["listeners", typeUrls.listener],
];

/** What has to be applied to one configuration so that it becomes the other: one update for each type that differs. */
export function updatesBetween(before: GatewayConfig, after: GatewayConfig): ConfigUpdate[] {
  return order.flatMap(([key, typeUrl]) => {
    const [old, next] = [before.received[key], after.received[key]];
    if (old === next) return [];
    const changed = [...next.accepted.values()]
      .filter(({ name }) => isOther(next, old, name))
      .map(withOwnBytes);
    const removed = isNamed(key) ? missingSince(old, next) : goneSince(old, next);
    const isSame = changed.length + removed.length === 0 && old.version === next.version;
    return isSame ? [] : [{ typeUrl, changed, removed, version: next.version }];
  });
}

function isNamed(key: ReceivedKey): boolean {
  return key !== "clusters" && key !== "listeners";
}

function isOther(next: ReceivedType<unknown>, old: ReceivedType<unknown>, name: string): boolean {
  return next.accepted.get(name) !== old.accepted.get(name);
}

function goneSince(old: ReceivedType<unknown>, next: ReceivedType<unknown>): string[] {
  return [...old.accepted.keys()].filter((name) => !next.accepted.has(name));
}

/** What nobody refers to any longer is gone without being missing: whoever applies the rest forgets it by himself. */
function missingSince(old: ReceivedType<unknown>, next: ReceivedType<unknown>): string[] {
  return [...next.missing].filter((name) => !old.missing.has(name));
}

/** A resource's bytes may be a view of a whole response, which would be copied with them. */
function withOwnBytes({ name, version, typeUrl, value }: Received<unknown>) {
  return { name, version, typeUrl, value: Uint8Array.from(value) };
}

/**
 * What makes a thread that starts now what the others are: first what is in effect, so that it serves while newer versions
 * still wait for what they refer to.
 */
export interface Replay {
  /** Has to see each configuration. */
  follow(config: GatewayConfig): void;
  /** Applied one after the other to an empty configuration. */
  updates(): readonly ConfigUpdate[];
}

export function createReplay(): Replay {
  let latest = emptyConfig;
  let effective = emptyConfig;
  return {
    follow(config) {
      effective = withEffective(config, effective);
      latest = config;
    },
    updates() {
      const all = updatesBetween(emptyConfig, latest);
      // What only the waiting versions refer to is forgotten in between, and comes once more.
      return effective === latest ? all : [...updatesBetween(emptyConfig, effective), ...all];
    },
  };
}

/** A configuration in which what still waits is as it was before. */
function withEffective(config: GatewayConfig, before: GatewayConfig): GatewayConfig {
  const { received, warmingListeners, warmingClusters } = config;
  if (warmingListeners.size + warmingClusters.size === 0) return config;
  const listeners = keepWaiting(received.listeners, before.received.listeners, warmingListeners);
  const clusters = keepWaiting(received.clusters, before.received.clusters, warmingClusters);
  return { ...config, received: { ...received, listeners, clusters } };
}

function keepWaiting<T>(
  type: ReceivedType<T>,
  before: ReceivedType<T>,
  waiting: ReadonlyMap<string, unknown>,
): ReceivedType<T> {
  if (waiting.size === 0) return type;
  const accepted = new Map(type.accepted);
  for (const name of waiting.keys()) {
    const old = before.accepted.get(name);
    if (old) accepted.set(name, old);
    else accepted.delete(name);
  }
  return { ...type, accepted };
}

/** Applies updates as one: nobody sees what is in between. */
export function applyUpdates(config: GatewayConfig, updates: readonly ConfigUpdate[]): GatewayConfig {
  return updates.reduce((current, update) => applyResponse(current, update).config, config);
}
