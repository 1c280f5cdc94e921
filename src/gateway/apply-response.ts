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

/**
 * Applies a response: gives a new configuration, in which everything that did not change is the same object. What is
 * not understood is refused, each resource by itself, and its last good version stays.
 */
export function applyResponse(config: GatewayConfig, update: ConfigUpdate, now = new Date()): Applied {
  const key = receivedKeys.get(update.typeUrl);
  if (!key) return { config, errors: new Map([[update.typeUrl, "a type that was not asked for"]]) };
  return applyType(config, key, update, now);
}

function applyType<K extends ReceivedKey>(
  config: GatewayConfig,
  key: K,
  update: ConfigUpdate,
  now: Date,
): Applied {
  const before = config.received[key] as ReceivedType<ConfigOf<K>>;
  const accepted = new Map(before.accepted);
  const refused = new Map(before.refused);
  const missing = new Set(before.missing);
  const errors = new Map<string, string>();
  for (const resource of update.changed) {
    const outcome = compileResource(config, key, resource, accepted.get(resource.name), now);
    missing.delete(resource.name);
    if ("reason" in outcome) {
      refused.set(resource.name, outcome);
      errors.set(resource.name, outcome.reason);
    } else {
      refused.delete(resource.name);
      accepted.set(resource.name, outcome);
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

/** As in Envoy, what is referred to by name stays when the server says that it is gone. A plugin does not. */
const keepsRemoved: Readonly<Record<ReceivedKey, boolean>> = {
  clusters: false,
  listeners: false,
  extensionConfigs: false,
  endpoints: true,
  routes: true,
  secrets: true,
};

function compileResource<K extends ReceivedKey>(
  config: GatewayConfig,
  key: K,
  resource: XdsResource,
  before: Received<ConfigOf<K>> | undefined,
  now: Date,
): Received<ConfigOf<K>> | Refused {
  const { name, version, typeUrl, value } = resource;
  const bytes = { name, version, typeUrl, value };
  if (before && before.typeUrl === typeUrl && Buffer.compare(before.value, value) === 0) {
    return before.version === version ? before : { ...before, version };
  }
  try {
    const compiled = compilers[key](name, value, before?.config);
    if (key === "extensionConfigs") refuseWrongType(config, name, value);
    return { ...bytes, receivedAt: now, config: compiled };
  } catch (error) {
    if (!(error instanceof RefusedConfig)) throw error;
    return { ...bytes, refusedAt: now, reason: error.message };
  }
}
