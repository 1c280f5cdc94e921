import type { TypeUpdate } from "../xds/client.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import type { GatewayConfig, Received, ReceivedType, Refused } from "./gateway-config.ts";
import { RefusedConfig } from "./refused-config.ts";
import { type ConfigOf, compilers, type ReceivedKey, receivedKeys } from "./resource-kinds.ts";
import { sameEntries, settle } from "./settle.ts";
import { refuseWrongType } from "./slot-types.ts";

const nothing: ReceivedType<never> = {
  accepted: new Map(),
  refused: new Map(),
  missing: new Set(),
  version: "",
};

/** Of a gateway that has heard nothing yet. */
export const emptyConfig: GatewayConfig = {
  received: {
    clusters: nothing,
    endpoints: nothing,
    listeners: nothing,
    routes: nothing,
    secrets: nothing,
    extensionConfigs: nothing,
  },
  listeners: new Map(),
  warmingListeners: new Map(),
  clusters: new Map(),
  warmingClusters: new Map(),
  routes: new Map(),
  secrets: new Map(),
  extensionConfigs: new Map(),
};

/** A response, as far as it says something about the configuration. */
export interface ConfigUpdate extends TypeUpdate {
  readonly version?: string;
}

/** What became of a response. `errors` has by name why resources were refused: the text of the NACK. */
export interface Applied {
  readonly config: GatewayConfig;
  readonly errors: ReadonlyMap<string, string>;
}

/** Resources of a response that were compiled, by name: what was made of each, or why it is refused. */
export interface CompiledUpdate {
  readonly key: ReceivedKey;
  readonly outcomes: ReadonlyMap<string, Outcome>;
  readonly removed: readonly string[];
  readonly version?: string | undefined;
}

export type Outcome = Received<unknown> | Refused;

/**
 * Applies a response: gives a new configuration, in which everything that did not change is the same object. What is
 * not understood is refused, each resource by itself, and its last good version stays.
 */
export function applyResponse(config: GatewayConfig, update: ConfigUpdate, now = new Date()): Applied {
  const { typeUrl, changed, removed, version } = update;
  const key = receivedKeys.get(typeUrl);
  if (!key) return { config, errors: new Map([[typeUrl, "a type that was not asked for"]]) };
  const outcomes = new Map(
    changed.map((resource) => [resource.name, compileResource(config, key, resource, undefined, now)]),
  );
  return acceptUpdate(config, { key, outcomes, removed, version });
}

/** Puts what was compiled into a configuration. */
export function acceptUpdate(config: GatewayConfig, update: CompiledUpdate): Applied {
  const { key } = update;
  const before: ReceivedType<unknown> = config.received[key];
  const accepted = new Map(before.accepted);
  const refused = new Map(before.refused);
  const missing = new Set(before.missing);
  const errors = new Map<string, string>();
  for (const [name, outcome] of update.outcomes) {
    missing.delete(name);
    if (isRefused(outcome)) {
      refused.set(name, outcome);
      errors.set(name, outcome.reason);
    } else {
      refused.delete(name);
      accepted.set(name, outcome);
    }
  }
  for (const name of update.removed) {
    refused.delete(name);
    if (keepsRemoved[key] && accepted.has(name)) continue;
    accepted.delete(name);
    if (key !== "clusters" && key !== "listeners") missing.add(name);
  }
  const type = {
    accepted: sameEntries(accepted, before.accepted) ? before.accepted : accepted,
    refused,
    missing,
    version: update.version ?? before.version,
  };
  const received = { ...config.received, [key]: type };
  return { config: settle({ ...config, received }, config), errors };
}

export function isRefused(outcome: Outcome): outcome is Refused {
  return "reason" in outcome;
}

/** As in Envoy, what is referred to by name stays when the server says that it is gone. A plugin does not. */
const keepsRemoved: Readonly<Record<ReceivedKey, boolean>> = {
  clusters: false,
  listeners: false,
  extensionConfigs: false,
  endpoints: true,
  routes: true,
  secrets: true,
};

/**
 * Makes something of a resource. What it shares with the version in effect, or with `pending`, a newer one that is not in
 * effect yet, stays the same object.
 */
export function compileResource<K extends ReceivedKey>(
  config: GatewayConfig,
  key: K,
  resource: XdsResource,
  pending: Received<unknown> | undefined,
  now = new Date(),
): Outcome {
  const { name, version, typeUrl, value } = resource;
  const bytes = { name, version, typeUrl, value };
  const accepted: Received<unknown> | undefined = config.received[key].accepted.get(name);
  const same = [accepted, pending].find((each) => each && isSame(each, resource));
  if (same) return same.version === version ? same : { ...same, version };
  try {
    const previous = (pending ?? accepted)?.config as ConfigOf<K> | undefined;
    const compiled = compilers[key](name, value, previous);
    if (key === "extensionConfigs") refuseWrongType(config, name, value);
    return { ...bytes, receivedAt: now, config: compiled };
  } catch (error) {
    if (!(error instanceof RefusedConfig)) throw error;
    return { ...bytes, refusedAt: now, reason: error.message };
  }
}

function isSame(a: XdsResource, b: XdsResource): boolean {
  return a.typeUrl === b.typeUrl && Buffer.compare(a.value, b.value) === 0;
}
