import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  DeltaDiscoveryResponseSchema,
  type Resource,
  ResourceSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "./ads.ts";
import { createNonces, emptyType, inPushOrder, type ServerStream } from "./server-stream.ts";
import { diffTypes, type Snapshot, type SnapshotResource, type SnapshotType } from "./snapshot.ts";
import { Subscription } from "./subscription.ts";
import { isWildcardType, typeUrls } from "./type-urls.ts";

interface IncrementalSubscription extends Subscription {
  /** What the client said it has, until its first answer. */
  initialVersions: Readonly<Record<string, string>> | undefined;
}

/**
 * The server's side of an incremental stream (xDS protocol, "Incremental xDS"). Only what changed is sent; versions are
 * content hashes, so that a client that comes back with what it has gets nothing again.
 */
export function createIncrementalStream(
  send: (response: DeltaDiscoveryResponse) => void,
): ServerStream<DeltaDiscoveryRequest> {
  const subscriptions = new Map<string, IncrementalSubscription>();
  const nextNonce = createNonces();
  let snapshot: Snapshot | undefined;

  const typeNow = (typeUrl: string) => snapshot?.get(typeUrl) ?? emptyType(typeUrl);

  function respond(
    subscription: Subscription,
    version: string,
    resources: readonly SnapshotResource[],
    removed: readonly string[],
  ): void {
    const nonce = nextNonce();
    subscription.sent(nonce, version, resources);
    send(
      create(DeltaDiscoveryResponseSchema, {
        systemVersionInfo: version,
        resources: resources.map(toResource),
        typeUrl: subscription.typeUrl,
        removedResources: [...removed],
        nonce,
      }),
    );
  }

  function subscribe(request: DeltaDiscoveryRequest): IncrementalSubscription {
    const { typeUrl, resourceNamesSubscribe, initialResourceVersions } = request;
    const subscription = Object.assign(new Subscription(typeUrl), { initialVersions: initialResourceVersions });
    subscription.wildcard = isWildcardType(typeUrl) && resourceNamesSubscribe.length === 0;
    subscriptions.set(typeUrl, subscription);
    return subscription;
  }

  function answerFirst(subscription: IncrementalSubscription, type: SnapshotType): void {
    const known = subscription.initialVersions ?? {};
    const wanted = [...type.resources.values()].filter(({ name }) => subscription.wants(name));
    const changed = wanted.filter(({ name, version }) => known[name] !== version);
    const removed = Object.keys(known).filter((name) => subscription.wants(name) && !type.resources.has(name));
    subscription.initialVersions = undefined;
    subscription.synced = type;
    const sendable = removable(type.typeUrl) ? removed : [];
    // A wildcard is always answered: MCP clients wait for one answer of each type, empty or not.
    if (subscription.wildcard || changed.length > 0 || sendable.length > 0) {
      respond(subscription, type.version, changed, sendable);
    }
  }

  return {
    onRequest(request) {
      const known = subscriptions.get(request.typeUrl);
      const subscription = known ?? subscribe(request);
      if (known && request.responseNonce) known.answered(request.responseNonce, request.errorDetail?.message);
      for (const name of request.resourceNamesUnsubscribe) dropName(subscription, name);
      const type = typeNow(request.typeUrl);
      for (const name of request.resourceNamesSubscribe) addName(subscription, type, name);
      if (!snapshot) return;
      if (subscription.initialVersions) return answerFirst(subscription, type);
      const asked = request.resourceNamesSubscribe.map((name) => type.resources.get(name)).filter((r) => r !== undefined);
      if (asked.length > 0) respond(subscription, type.version, asked, []);
    },

    onSnapshot(next) {
      snapshot = next;
      const order = inPushOrder(subscriptions.keys()).map((typeUrl) => subscriptions.get(typeUrl)!);
      const removals: (() => void)[] = [];
      for (const subscription of order) {
        const type = typeNow(subscription.typeUrl);
        const { synced } = subscription;
        if (!synced) {
          answerFirst(subscription, type);
          continue;
        }
        if (synced === type) continue;
        subscription.synced = type;
        const diff = diffTypes(synced, type);
        const changed = diff.changed.filter(({ name }) => subscription.wants(name));
        if (changed.length > 0) respond(subscription, type.version, changed, []);
        const removed = removable(type.typeUrl) ? diff.removed.filter((name) => subscription.wants(name)) : [];
        if (removed.length > 0) removals.push(() => respond(subscription, type.version, [], removed));
      }
      for (const remove of removals.reverse()) remove();
    },

    status: () => [...subscriptions.values()].map((subscription) => subscription.status()),
  };
}

/**
 * ECDS resources are never removed: Envoy would drop the filter's configuration at once, while the listener that names
 * it still serves. They go when no listener names them any more (istiod does the same).
 */
function removable(typeUrl: string): boolean {
  return typeUrl !== typeUrls.extensionConfig;
}

function addName(subscription: Subscription, type: SnapshotType, name: string): void {
  if (name === "*") subscription.wildcard = true;
  // The snapshot's own string, so that a thousand names of two hundred clients are stored once.
  else subscription.names.add(type.resources.get(name)?.name ?? name);
}

function dropName(subscription: Subscription, name: string): void {
  if (name === "*") subscription.wildcard = false;
  else subscription.names.delete(name);
}

function toResource({ name, version, typeUrl, value }: SnapshotResource): Resource {
  return create(ResourceSchema, { name, version, resource: create(AnySchema, { typeUrl, value }) });
}
