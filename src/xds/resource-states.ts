import { partsOf, type XdsResource } from "./snapshot.ts";
import type { SubscriptionStatus } from "./subscription.ts";

/** Whether one resource, or one filter of a chain, is in effect at a client, and if not, why. */
export interface ResourceState {
  readonly name: string;
  readonly version: string;
  readonly state: "SYNCED" | "PENDING" | "ERROR" | "MISSING";
  readonly error: string;
  /** The version of the plugin that it was made from, as core gave it. */
  readonly source?: string;
}

/** What became of everything that a client asks for by name, sorted by name. A filter of several chains is there once. */
export function resourceStates(status: SubscriptionStatus): readonly ResourceState[] {
  const states = new Map<string, ResourceState>();
  for (const name of status.names ?? []) {
    const resource = status.synced?.resources.get(name);
    if (!resource) states.set(name, missing(name));
    else for (const part of partsOf(resource)) states.set(part.name, stateOf(part, status));
  }
  return [...states.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function missing(name: string): ResourceState {
  return { name, version: "", state: "MISSING", error: "there is no such plugin any more" };
}

function stateOf(
  { name, version, source }: XdsResource,
  { pending, rejected }: SubscriptionStatus,
): ResourceState {
  const rejection = rejected.get(name);
  if (rejection) return { name, version, state: "ERROR", error: rejection.error, source };
  return { name, version, state: pending.has(name) ? "PENDING" : "SYNCED", error: "", source };
}
