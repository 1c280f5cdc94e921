import { setTimeout as sleep } from "node:timers/promises";
import {
  type Channel,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  makeGenericClientConstructor,
} from "@grpc/grpc-js";
import { grpcOptions, passThroughDefinition } from "../xds/ads.ts";
import { backoffMs } from "../xds/client.ts";

export type AdsMethod = keyof typeof passThroughDefinition;

/** The way from the agent to discovery, of all of its streams. */
export interface DiscoveryLink {
  /** Opens a stream to discovery. The messages are bytes. */
  open(method: AdsMethod): ClientDuplexStream<Buffer, Buffer>;
  /** Whether discovery is there. Answers within a second. */
  isThere(): Promise<boolean>;
  /** Resolves when discovery is there, however long that takes, or when the signal aborts. */
  whenThere(signal: AbortSignal): Promise<void>;
  /** Notes that discovery has said something on a stream. */
  answered(): void;
  /** Notes that discovery has ended a stream on which it had said nothing: somebody is there, but not for us. */
  failed(): void;
}

const DiscoveryClient = makeGenericClientConstructor(passThroughDefinition, "AggregatedDiscoveryService");
type Client = Record<AdsMethod, () => ClientDuplexStream<Buffer, Buffer>> & {
  getChannel(): Channel;
  close(): void;
};

const connectMs = 1000;

/** Keeps a connection to discovery until the signal aborts; gRPC tries again at least once in a second. */
export function createDiscoveryLink(target: string, signal: AbortSignal): DiscoveryLink {
  const client = new DiscoveryClient(target, credentials.createInsecure(), grpcOptions) as unknown as Client;
  const channel = client.getChannel();
  let failures = 0;
  let notBefore = 0;
  signal.addEventListener("abort", () => client.close(), { once: true });

  /** Resolves when the connection is no longer in a state, or at the deadline. */
  const changed = (state: connectivityState, deadline: number) =>
    new Promise<void>((resolve) => channel.watchConnectivityState(state, deadline, () => resolve()));

  return {
    open: (method) => client[method](),
    async isThere() {
      const deadline = Date.now() + connectMs;
      while (Date.now() < deadline && performance.now() >= notBefore && !signal.aborted) {
        const state = channel.getConnectivityState(true);
        if (state === connectivityState.READY) return true;
        if (state === connectivityState.TRANSIENT_FAILURE) return false;
        await changed(state, deadline);
      }
      return false;
    },
    async whenThere(until) {
      while (!until.aborted && !signal.aborted) {
        const pauseMs = notBefore - performance.now();
        if (pauseMs > 0) {
          await sleep(pauseMs, undefined, { signal: until }).catch(() => {});
          continue;
        }
        const state = channel.getConnectivityState(true);
        if (state === connectivityState.READY) return;
        await changed(state, Date.now() + connectMs);
      }
    },
    answered() {
      failures = 0;
    },
    failed() {
      notBefore = performance.now() + backoffMs(failures++);
    },
  };
}
