import type { DiscoveryRequest } from "./ads.ts";
import { encodeStateOfTheWorld } from "./encode.ts";
import { isBehindOwnAgent } from "./own-agent.ts";
import { readRefusal } from "./refusal.ts";
import {
  createNonces,
  emptyType,
  inPushOrder,
  isPaced,
  isRemovable,
  type Send,
  type ServerStream,
} from "./server-stream.ts";
import { diffTypes, type Snapshot, type SnapshotResource, type SnapshotType } from "./snapshot.ts";
import { Subscription } from "./subscription.ts";
import { isWildcardType } from "./type-urls.ts";

/**
 * The server's side of a state-of-the-world stream. Each response holds everything that the client subscribed to, also
 * when only names were added: Envoy refuses a whole ECDS response in which a watched resource is missing. For the same
 * reason an ECDS resource that is gone stays in the responses until the client no longer asks for it.
 *
 * Like istiod it takes any nonce in the first request of a type (its MCP client sends a time there).
 */
export function createStateOfTheWorldStream(send: Send): ServerStream<DiscoveryRequest> {
  const subscriptions = new Map<string, Subscription>();
  const nextNonce = createNonces();
  let snapshot: Snapshot | undefined;
  let isOwnAgent = false;
  /** Of the types that are never removed: the resources of the last response, by name. */
  const lastSent = new Map<string, SnapshotResource>();

  const typeNow = (typeUrl: string) => snapshot?.get(typeUrl) ?? emptyType(typeUrl);

  /** Whether another response has to wait: the one before it could come to Envoy last. */
  // Unlike Istio: a later configuration is never followed by an earlier one.
  function isHeld(subscription: Subscription): boolean {
    return isPaced(subscription.typeUrl, isOwnAgent) && subscription.onTheirWay().size > 0;
  }

  function respond(subscription: Subscription, type: SnapshotType): void {
    subscription.synced = type;
    if (isHeld(subscription)) {
      for (const name of subscription.names) subscription.owed.add(name);
      return;
    }
    subscription.owed.clear();
    const resources = resourcesFor(subscription, type);
    // An empty answer is one for a wildcard; for names it would say that all of them are gone.
    if (resources.length === 0 && !subscription.wildcard) return;
    const nonce = nextNonce();
    subscription.overtake();
    subscription.sent(nonce, type.version, resources);
    const { typeUrl, version } = type;
    send(() => encodeStateOfTheWorld({ typeUrl, version, nonce, resources }));
  }

  function resourcesFor(subscription: Subscription, type: SnapshotType): SnapshotResource[] {
    const present = [...type.resources.values()].filter(({ name }) => subscription.wants(name));
    if (isRemovable(type.typeUrl)) return present;
    const gone = [...lastSent.values()].filter(
      ({ name }) => subscription.wants(name) && !type.resources.has(name),
    );
    const resources = [...present, ...gone];
    lastSent.clear();
    for (const resource of resources) lastSent.set(resource.name, resource);
    return resources;
  }

  function subscribe({ typeUrl, resourceNames }: DiscoveryRequest): void {
    const subscription = new Subscription(typeUrl);
    subscription.wildcard =
      isWildcardType(typeUrl) && (resourceNames.length === 0 || resourceNames.includes("*"));
    for (const name of resourceNames) subscription.names.add(name);
    subscriptions.set(typeUrl, subscription);
    if (snapshot) respond(subscription, typeNow(typeUrl));
  }

  function answered(
    subscription: Subscription,
    { responseNonce, resourceNames, errorDetail }: DiscoveryRequest,
  ): void {
    const refusal = readRefusal(errorDetail);
    subscription.answered(responseNonce, refusal?.message, refusal?.reasons);
    const added = !errorDetail && !subscription.wildcard && wantInstead(subscription, resourceNames);
    if (snapshot && (added || subscription.owed.size > 0))
      respond(subscription, typeNow(subscription.typeUrl));
  }

  return {
    onRequest(request) {
      const { node, typeUrl, responseNonce, resourceNames, errorDetail } = request;
      if (node) isOwnAgent = isBehindOwnAgent(node);
      const subscription = subscriptions.get(typeUrl);
      const unsubscribes = !errorDetail && resourceNames.length === 0 && !isWildcardType(typeUrl);
      if (unsubscribes) subscriptions.delete(typeUrl);
      else if (!subscription || (responseNonce === "" && !isHeld(subscription))) subscribe(request);
      else if (responseNonce === "") {
        wantInstead(subscription, resourceNames);
        if (snapshot) respond(subscription, typeNow(typeUrl));
      }
      // Any other nonce answers a response that a later one has overtaken.
      else if (responseNonce === subscription.nonceSent || !subscription.nonceSent)
        answered(subscription, request);
    },

    onSnapshot(next) {
      snapshot = next;
      for (const typeUrl of inPushOrder(subscriptions.keys())) {
        const subscription = subscriptions.get(typeUrl)!;
        const type = typeNow(typeUrl);
        const { synced } = subscription;
        if (synced === type) continue;
        if (synced && !concerns(subscription, synced, type)) subscription.synced = type;
        else respond(subscription, type);
      }
    },

    status: () => [...subscriptions.values()].map((subscription) => subscription.status()),
  };
}

/** Replaces the names that a client asks for. Says whether there are more. */
function wantInstead(subscription: Subscription, resourceNames: readonly string[]): boolean {
  const added = resourceNames.some((name) => !subscription.names.has(name));
  subscription.names.clear();
  subscription.namesRevision++;
  for (const name of resourceNames) subscription.names.add(name);
  return added;
}

function concerns(subscription: Subscription, from: SnapshotType, to: SnapshotType): boolean {
  const { changed, removed } = diffTypes(from, to);
  const gone = isRemovable(to.typeUrl) ? removed : [];
  return (
    changed.some(({ name }) => subscription.wants(name)) || gone.some((name) => subscription.wants(name))
  );
}
