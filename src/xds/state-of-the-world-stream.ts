import type { DiscoveryRequest } from "./ads.ts";
import { encodeStateOfTheWorld } from "./encode.ts";
import { createNonces, emptyType, inPushOrder, type Send, type ServerStream } from "./server-stream.ts";
import { diffTypes, type Snapshot, type SnapshotType } from "./snapshot.ts";
import { Subscription } from "./subscription.ts";
import { isWildcardType } from "./type-urls.ts";

/**
 * The server's side of a state-of-the-world stream. Each response holds everything that the client subscribed to, also
 * when only names were added: Envoy refuses a whole ECDS response in which a watched resource is missing.
 *
 * Like istiod it takes any nonce in the first request of a type (its MCP client sends a time there).
 */
export function createStateOfTheWorldStream(send: Send): ServerStream<DiscoveryRequest> {
  const subscriptions = new Map<string, Subscription>();
  const nextNonce = createNonces();
  let snapshot: Snapshot | undefined;

  const typeNow = (typeUrl: string) => snapshot?.get(typeUrl) ?? emptyType(typeUrl);

  function respond(subscription: Subscription, type: SnapshotType): void {
    subscription.synced = type;
    const resources = [...type.resources.values()].filter(({ name }) => subscription.wants(name));
    // An empty answer is one for a wildcard; for names it would say that all of them are gone.
    if (resources.length === 0 && !subscription.wildcard) return;
    const nonce = nextNonce();
    subscription.sent(nonce, type.version, resources);
    const { typeUrl, version } = type;
    send(() => encodeStateOfTheWorld({ typeUrl, version, nonce, resources }));
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
    subscription.answered(responseNonce, errorDetail?.message);
    if (errorDetail || subscription.wildcard) return;
    const added = resourceNames.some((name) => !subscription.names.has(name));
    subscription.names.clear();
    for (const name of resourceNames) subscription.names.add(name);
    if (added && snapshot) respond(subscription, typeNow(subscription.typeUrl));
  }

  return {
    onRequest(request) {
      const { typeUrl, responseNonce, resourceNames, errorDetail } = request;
      const subscription = subscriptions.get(typeUrl);
      const unsubscribes = !errorDetail && resourceNames.length === 0 && !isWildcardType(typeUrl);
      if (unsubscribes) subscriptions.delete(typeUrl);
      else if (!subscription || responseNonce === "") subscribe(request);
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

function concerns(subscription: Subscription, from: SnapshotType, to: SnapshotType): boolean {
  const { changed, removed } = diffTypes(from, to);
  return (
    changed.some(({ name }) => subscription.wants(name)) || removed.some((name) => subscription.wants(name))
  );
}
