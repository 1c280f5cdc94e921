import type { FilterConfig, GatewayConfig, Listener } from "./gateway-config.ts";
import type { WasmFilterConfig } from "./plugin-registry.ts";
import { wasmConfigsOf, wasmOf } from "./stream-plans.ts";

type Runs = (config: WasmFilterConfig) => boolean;

/** A configuration with what was in effect before in the place of filters and listeners whose plugins do not run. */
export function withLastGood(
  next: GatewayConfig,
  before: GatewayConfig | undefined,
  runs: Runs,
): GatewayConfig {
  if (!before) return next;
  const extensionConfigs = keepGood(next.extensionConfigs, before.extensionConfigs, (filter) =>
    isGood(filter, runs),
  );
  const listeners = keepGood(next.listeners, before.listeners, (listener: Listener) =>
    [...wasmConfigsOf(listener)].every(runs),
  );
  const isSame = extensionConfigs === next.extensionConfigs && listeners === next.listeners;
  return isSame ? next : { ...next, extensionConfigs, listeners };
}

function isGood(filter: FilterConfig, runs: Runs): boolean {
  return [...wasmOf(filter)].every(runs);
}

function keepGood<T>(
  next: ReadonlyMap<string, T>,
  before: ReadonlyMap<string, T>,
  good: (value: T) => boolean,
): ReadonlyMap<string, T> {
  const bad = [...next].filter(([name, value]) => value !== before.get(name) && !good(value));
  if (bad.length === 0) return next;
  const kept = new Map(next);
  for (const [name] of bad) {
    const old = before.get(name);
    if (old !== undefined) kept.set(name, old);
  }
  return kept;
}
