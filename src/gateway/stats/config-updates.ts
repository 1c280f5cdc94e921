import { getOrCreate } from "../../get-or-create.ts";
import type { Watchable } from "../../watchable.ts";
import type { GatewayConfig, ReceivedType } from "../gateway-config.ts";

export type ReceivedKey = keyof GatewayConfig["received"];

/** What became of the resources of one type, or of one resource. */
export interface Updates {
  successes: number;
  rejections: number;
  /** Milliseconds since 1970; 0 for never. */
  updatedAt: number;
}

/** How often resources came, changed and went. */
export interface Changes {
  added: number;
  modified: number;
  removed: number;
}

/** What a gateway was told, read off the difference between a configuration and the next. */
export interface ConfigUpdates {
  ofType(key: ReceivedKey): Updates;
  ofResource(key: ReceivedKey, name: string): Updates;
  readonly listeners: Changes;
  readonly clusters: Changes;
  reset(): void;
}

export function createConfigUpdates(config: Watchable<GatewayConfig>, signal: AbortSignal): ConfigUpdates {
  const all = new Map<string, Updates>();
  const listeners = { added: 0, modified: 0, removed: 0 };
  const clusters = { ...listeners };
  const find = (key: string) => getOrCreate(all, key, () => ({ successes: 0, rejections: 0, updatedAt: 0 }));
  const ofType = (key: ReceivedKey) => find(key);
  const ofResource = (key: ReceivedKey, name: string) => find(`${key} ${name}`);
  let before: GatewayConfig | undefined;
  config.watch((next) => {
    for (const key of Object.keys(next.received) as ReceivedKey[])
      if (before) compare(key, before.received[key], next.received[key], Date.now());
    if (before) countChanges(listeners, before.received.listeners, next.received.listeners);
    if (before) countChanges(clusters, before.received.clusters, next.received.clusters);
    before = next;
  }, signal);
  return {
    ofType,
    ofResource,
    listeners,
    clusters,
    reset() {
      // When something was updated stays: that is a gauge.
      for (const updates of all.values()) Object.assign(updates, { successes: 0, rejections: 0 });
      for (const changes of [listeners, clusters])
        Object.assign(changes, { added: 0, modified: 0, removed: 0 });
    },
  };

  function compare(
    key: ReceivedKey,
    was: ReceivedType<unknown>,
    is: ReceivedType<unknown>,
    now: number,
  ): void {
    if (was === is) return;
    const rejected = [...is.refused.values()].filter(
      ({ name }) => was.refused.get(name) !== is.refused.get(name),
    );
    for (const { name } of rejected) ofResource(key, name).rejections++;
    for (const [name, { value, version }] of is.accepted) {
      const known = was.accepted.get(name);
      if (known?.value !== value || known.version !== version) succeed(ofResource(key, name), now);
    }
    for (const name of was.accepted.keys())
      if (!is.accepted.has(name) && !is.refused.has(name)) all.delete(`${key} ${name}`);
    // A response is refused with any of its resources, as in Envoy.
    if (rejected.length > 0) ofType(key).rejections++;
    else succeed(ofType(key), now);
  }
}

function succeed(updates: Updates, now: number): void {
  updates.successes++;
  updates.updatedAt = now;
}

function countChanges(
  changes: Changes,
  { accepted: was }: ReceivedType<unknown>,
  { accepted: is }: ReceivedType<unknown>,
): void {
  if (was === is) return;
  for (const [name, { config }] of is) {
    if (!was.has(name)) changes.added++;
    else if (was.get(name)!.config !== config) changes.modified++;
  }
  for (const name of was.keys()) if (!is.has(name)) changes.removed++;
}
