import { getOrCreate } from "../get-or-create.ts";
import type { DeltaDiscoveryRequest } from "./ads.ts";
import { encodeIncremental } from "./encode.ts";
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
import {
  diffTypes,
  type Snapshot,
  type SnapshotResource,
  type SnapshotType,
  type TypeDiff,
} from "./snapshot.ts";
import { Subscription } from "./subscription.ts";
import { isWildcardType, typeUrls } from "./type-urls.ts";

/** Answers above this size are sent in parts, so that a thousand plugins for many gateways need not be in memory at once. */
const maxPartBytes = 64 * 1024;

// A nonce means something within one stream only. A diff is sent once on a stream, and so is all of a type.
const sharedNonces = new WeakMap<TypeDiff, string>();
const sharedResponses = new WeakMap<TypeDiff, Buffer>();
/** A wildcard's answer is cut differently. */
const wholeTypes = {
  wildcard: new WeakMap<SnapshotType, readonly WholePart[]>(),
  named: new WeakMap<SnapshotType, readonly WholePart[]>(),
};
const nextWholeNonce = createNonces();

/** A part of the answer to who wants all of a type: the same bytes for each, while somebody is being sent them. */
interface WholePart {
  readonly nonce: string;
  readonly resources: readonly SnapshotResource[];
  encoded: WeakRef<Buffer> | undefined;
}

/** What a client has not got of a type: of the diff what it wants. */
interface Lack {
  readonly subscription: Subscription;
  readonly type: SnapshotType;
  readonly diff: TypeDiff;
  readonly changed: readonly SnapshotResource[];
  readonly removed: readonly string[];
}

interface IncrementalSubscription extends Subscription {
  /** What the client said it has, until its first answer. */
  initialVersions: Readonly<Record<string, string>> | undefined;
}

/**
 * The server's side of an incremental stream (xDS protocol, "Incremental xDS"). Only what changed is sent; versions are
 * content hashes, so that a client that comes back with what it has gets nothing again.
 */
export function createIncrementalStream(send: Send): ServerStream<DeltaDiscoveryRequest> {
  const subscriptions = new Map<string, IncrementalSubscription>();
  const nextNonce = createNonces();
  let snapshot: Snapshot | undefined;
  let isOwnAgent = false;

  const isTold = (typeUrl: string) => isOwnAgent || isRemovable(typeUrl);
  const typeNow = (typeUrl: string) => snapshot?.get(typeUrl) ?? emptyType(typeUrl);

  function respond(
    subscription: Subscription,
    version: string,
    resources: readonly SnapshotResource[],
    removed: readonly string[],
  ): void {
    const { typeUrl } = subscription;
    const parts = partsOf(subscription, resources);
    for (const part of parts) {
      const nonce = nextNonce();
      const gone = part === parts.at(-1) ? removed : [];
      subscription.sent(nonce, version, part);
      send(() => encodeIncremental({ typeUrl, version, nonce, resources: part, removed: gone }));
    }
  }

  /** Sends a whole diff, in the same bytes to each client that wants all of it. */
  function respondShared(
    subscription: Subscription,
    { typeUrl, version }: SnapshotType,
    diff: TypeDiff,
  ): void {
    const nonce = getOrCreate(sharedNonces, diff, nextNonce);
    subscription.sent(nonce, version, diff.changed);
    send(() =>
      getOrCreate(sharedResponses, diff, () =>
        encodeIncremental({ typeUrl, version, nonce, resources: diff.changed, removed: [] }),
      ),
    );
  }

  /** Sends all of a type, in the same bytes to each client that begins with all of it. */
  function respondWhole(subscription: Subscription, type: SnapshotType): void {
    const known = wholeTypes[subscription.wildcard ? "wildcard" : "named"];
    for (const part of getOrCreate(known, type, () => wholePartsOf(subscription, type))) {
      subscription.sent(part.nonce, type.version, part.resources);
      send(() => encodeWhole(type, part));
    }
  }

  function subscribe(request: DeltaDiscoveryRequest): IncrementalSubscription {
    const { typeUrl, resourceNamesSubscribe, initialResourceVersions } = request;
    const subscription = Object.assign(new Subscription(typeUrl), {
      initialVersions: initialResourceVersions,
    });
    subscription.wildcard = isWildcardType(typeUrl) && resourceNamesSubscribe.length === 0;
    subscriptions.set(typeUrl, subscription);
    return subscription;
  }

  function answerFirst(subscription: IncrementalSubscription, type: SnapshotType): void {
    const known = subscription.initialVersions ?? {};
    const wanted = [...type.resources.values()].filter(({ name }) => subscription.wants(name));
    const changed = wanted.filter(({ name, version }) => known[name] !== version);
    const removed = Object.keys(known).filter(
      (name) => subscription.wants(name) && !type.resources.has(name),
    );
    subscription.initialVersions = undefined;
    subscription.owed.clear();
    subscription.synced = type;
    const sendable = isTold(type.typeUrl) ? removed : [];
    const isWhole = changed.length > 0 && changed.length === type.resources.size && sendable.length === 0;
    if (isWhole) respondWhole(subscription, type);
    // A wildcard is always answered: MCP clients wait for one answer of each type, empty or not.
    else if (subscription.wildcard || changed.length > 0 || sendable.length > 0)
      respond(subscription, type.version, changed, sendable);
  }

  function onAnswer(
    subscription: Subscription,
    { responseNonce, errorDetail, typeUrl }: DeltaDiscoveryRequest,
  ): void {
    const refusal = readRefusal(errorDetail);
    subscription.answered(responseNonce, refusal?.message, refusal?.reasons);
    const isTaken = !refusal || refusal.reasons !== undefined;
    if (isTaken && typeUrl === typeUrls.extensionConfig) sendRefusedListeners();
  }

  /**
   * Envoy refuses a listener whose plugins it cannot configure. What it accepts of a plugin may have mended that, and an
   * agent that says which plugins it did not accept has put those back.
   */
  function sendRefusedListeners(): void {
    const listeners = subscriptions.get(typeUrls.listener);
    const { rejected, pending } = listeners?.status() ?? {};
    if (!listeners || !rejected?.size || pending?.size) return;
    const type = typeNow(typeUrls.listener);
    const refused = [...rejected.keys()]
      .map((name) => type.resources.get(name))
      .filter((r) => r !== undefined);
    if (refused.length > 0) respond(listeners, type.version, refused, []);
  }

  function sendOwed(subscription: IncrementalSubscription): void {
    if (!subscription.synced || subscription.isFull) return;
    const type = typeNow(subscription.typeUrl);
    const resources = [...subscription.owed].flatMap((name) => type.resources.get(name) ?? []);
    subscription.owed.clear();
    const ready = notOvertaking(subscription, resources);
    if (ready.length > 0) respond(subscription, type.version, ready, []);
  }

  /**
   * Which of these may be sent: of two ECDS resources of one name the earlier could come to Envoy last, so the later is
   * owed until that is answered.
   */
  // Unlike Istio: a later configuration is never followed by an earlier one.
  function notOvertaking(
    subscription: Subscription,
    resources: readonly SnapshotResource[],
  ): readonly SnapshotResource[] {
    if (!isPaced(subscription.typeUrl, isOwnAgent)) return resources;
    const onTheirWay = subscription.onTheirWay();
    for (const { name } of resources) if (onTheirWay.has(name)) subscription.owed.add(name);
    return resources.filter(({ name }) => !onTheirWay.has(name));
  }

  /**
   * Brings a client up to the newest state of a type: gives what it lacks, undefined where that is nothing or was sent. A
   * client that does not answer is left where it is: with its next answer it gets the newest state, and what was overtaken
   * is never sent.
   */
  function bringUp(subscription: IncrementalSubscription): Lack | undefined {
    const type = typeNow(subscription.typeUrl);
    const { synced } = subscription;
    if (!synced) return void answerFirst(subscription, type);
    if (synced === type || subscription.isFull) return undefined;
    subscription.synced = type;
    const diff = diffTypes(synced, type);
    const wanted = diff.changed.filter(({ name }) => subscription.wants(name));
    const changed = notOvertaking(subscription, wanted);
    const removed = isTold(type.typeUrl) ? diff.removed.filter((name) => subscription.wants(name)) : [];
    return changed.length + removed.length > 0 ? { subscription, type, diff, changed, removed } : undefined;
  }

  function sendChanged({ subscription, type, diff, changed }: Lack): void {
    if (changed.length === 0) return;
    if (changed.length === diff.changed.length) respondShared(subscription, type, diff);
    else respond(subscription, type.version, changed, []);
  }

  function sendRemoved({ subscription, type, removed }: Lack): void {
    if (removed.length > 0) respond(subscription, type.version, [], removed);
  }

  /**
   * What refers to others comes after them, and goes before them. What comes last and goes first is one response: who
   * gets it has no state between that it would act on.
   */
  function sendAll(lacks: readonly Lack[]): void {
    const first = lacks.slice(0, -1);
    for (const lack of first) sendChanged(lack);
    const last = lacks.at(-1);
    if (last && last.changed.length * last.removed.length > 0)
      respond(last.subscription, last.type.version, last.changed, last.removed);
    else if (last) {
      sendChanged(last);
      sendRemoved(last);
    }
    for (const lack of first.reverse()) sendRemoved(lack);
  }

  return {
    onRequest(request) {
      if (request.node) isOwnAgent = isBehindOwnAgent(request.node);
      const known = subscriptions.get(request.typeUrl);
      const subscription = known ?? subscribe(request);
      if (known && request.responseNonce) onAnswer(known, request);
      for (const name of request.resourceNamesUnsubscribe) dropName(subscription, name);
      const type = typeNow(request.typeUrl);
      for (const name of request.resourceNamesSubscribe) addName(subscription, type, name);
      if (!snapshot) return;
      sendOwed(subscription);
      const lack = bringUp(subscription);
      if (lack) sendAll([lack]);
    },

    onSnapshot(next) {
      snapshot = next;
      const order = inPushOrder(subscriptions.keys()).map((typeUrl) => subscriptions.get(typeUrl)!);
      sendAll(order.flatMap((subscription) => bringUp(subscription) ?? []));
    },

    status: () => [...subscriptions.values()].map((subscription) => subscription.status()),
  };
}

function addName(subscription: IncrementalSubscription, type: SnapshotType, name: string): void {
  subscription.owed.add(name);
  subscription.namesRevision++;
  if (name === "*") subscription.wildcard = true;
  // The snapshot's own string, so that a thousand names of two hundred clients are stored once.
  else subscription.names.add(type.resources.get(name)?.name ?? name);
}

function dropName(subscription: IncrementalSubscription, name: string): void {
  subscription.owed.delete(name);
  subscription.namesRevision++;
  if (name === "*") subscription.wildcard = false;
  else subscription.names.delete(name);
}

function wholePartsOf(subscription: Subscription, type: SnapshotType): WholePart[] {
  return partsOf(subscription, [...type.resources.values()]).map((resources) => ({
    ...{ nonce: nextWholeNonce(), resources, encoded: undefined },
  }));
}

function encodeWhole({ typeUrl, version }: SnapshotType, part: WholePart): Buffer {
  const known = part.encoded?.deref();
  if (known) return known;
  const { nonce, resources } = part;
  const encoded = encodeIncremental({ typeUrl, version, nonce, resources, removed: [] });
  part.encoded = new WeakRef(encoded);
  return encoded;
}

/**
 * Cuts what was asked for by name into parts. A wildcard's answer stays whole: its client takes the first for everything
 * that there is.
 */
function partsOf({ wildcard }: Subscription, resources: readonly SnapshotResource[]): SnapshotResource[][] {
  const parts: SnapshotResource[][] = [[]];
  let size = 0;
  for (const resource of resources) {
    size += resource.frame.length;
    if (!wildcard && size > maxPartBytes && parts.at(-1)!.length > 0) {
      parts.push([]);
      size = resource.frame.length;
    }
    parts.at(-1)!.push(resource);
  }
  return parts;
}
