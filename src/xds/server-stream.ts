import { getOrCreate } from "../get-or-create.ts";
import type { Snapshot, SnapshotType } from "./snapshot.ts";
import type { SubscriptionStatus } from "./subscription.ts";
import { pushOrder, typeUrls } from "./type-urls.ts";

/** Sends a response, which is encoded only when the client can take it. */
export type Send = (encode: () => Buffer) => void;

/** One client's stream on a server, in either form of the protocol. Knows no gRPC: `send` was given to its creator. */
export interface ServerStream<Request> {
  onRequest(request: Request): void;
  /** Brings the client up to this snapshot. */
  onSnapshot(snapshot: Snapshot): void;
  status(): readonly SubscriptionStatus[];
}

/** The subscribed types of a snapshot in push order, those that have no place in it last. */
export function inPushOrder(typeUrls: Iterable<string>): string[] {
  const place = (typeUrl: string) =>
    (pushOrder.indexOf(typeUrl) + pushOrder.length + 1) % (pushOrder.length + 1);
  return [...typeUrls].sort((a, b) => place(a) - place(b));
}

/**
 * Whether clients are told that a resource of a type is gone. ECDS resources are never removed: Envoy would drop the
 * filter's configuration at once, while the listener that names it still serves. They go when no listener names them
 * any more (istiod does the same). An agent of ours is told, and keeps it from Envoy.
 */
export function isRemovable(typeUrl: string): boolean {
  return typeUrl !== typeUrls.extensionConfig;
}

/**
 * Whether what a client is sent of a type may reach Envoy in another order, so that it is sent nothing more of it before
 * it has answered.
 */
export function isPaced(typeUrl: string, isOwnAgent: boolean): boolean {
  return typeUrl === typeUrls.extensionConfig && !isOwnAgent;
}

/** A type of which there is nothing. */
export function emptyType(typeUrl: string): SnapshotType {
  return getOrCreate(empties, typeUrl, () => ({ typeUrl, version: "empty", resources: new Map() }));
}
const empties = new Map<string, SnapshotType>();

/** Makes the nonces of one stream. They say in a log which response of which stream is meant, and nothing else. */
export function createNonces(): () => string {
  const prefix = Math.random().toString(36).slice(2, 8);
  let counter = 0;
  return () => `${prefix}-${++counter}`;
}
