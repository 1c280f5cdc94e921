import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Log } from "../log.ts";
import type { Watchable } from "../watchable.ts";
import { type DeltaDiscoveryRequest, type DiscoveryRequest, serverDefinition } from "./ads.ts";
import { createIncrementalStream } from "./incremental-stream.ts";
import { createModuleTally, modulesOf } from "./module-digests.ts";
import { isRefused, readRefusal } from "./refusal.ts";
import type { Send, ServerStream } from "./server-stream.ts";
import type { Snapshot } from "./snapshot.ts";
import { createStateOfTheWorldStream } from "./state-of-the-world-stream.ts";
import type { SubscriptionStatus } from "./subscription.ts";

export interface XdsServerOptions {
  /** What a client gets. Called once a stream, with its first request's node and its address (`ip:port` or `unix:`). */
  readonly snapshotFor: (node: Node, peer: string) => Watchable<Snapshot>;
  /** Hears that a client has come, gone, said something or was sent something. */
  readonly onChange?: () => void;
  readonly log: Log;
}

/** One connected client, for status pages. */
export interface ClientStatus {
  readonly node: Node;
  readonly peer: string;
  readonly connectedAt: Date;
  readonly incremental: boolean;
  readonly subscriptions: readonly SubscriptionStatus[];
  /** What it says of its plugins' modules, by plugin. */
  readonly modules: ReadonlyMap<string, string>;
  /** What it gets, once that is known. */
  readonly snapshot: Snapshot | undefined;
}

/** The aggregated discovery service, to be added to a gRPC server. */
export interface XdsServer {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  clients(): readonly ClientStatus[];
  /** By digest of its module, on how many clients a plugin runs with it. */
  modulesOf(plugin: string): ReadonlyMap<string, number>;
}

/** Serves snapshots to any number of clients in both forms of the protocol. A client is answered from the first snapshot on. */
export function createXdsServer({ snapshotFor, onChange, log }: XdsServerOptions): XdsServer {
  const clients = new Set<() => ClientStatus>();
  const tally = createModuleTally();

  function serve<Request extends DiscoveryRequest | DeltaDiscoveryRequest>(
    call: ServerDuplexStream<Request, Buffer>,
    createStream: (send: Send) => ServerStream<Request>,
    incremental: boolean,
  ): void {
    const peer = call.getPeer();
    const gone = new AbortController();
    const outbox = createOutbox(call);
    const stream = createStream(outbox.send);
    const modules = new Map<string, string>();
    let client: (() => ClientStatus) | undefined;

    function onFirstRequest(node: Node): void {
      const connectedAt = new Date();
      const snapshots = snapshotFor(node, peer);
      client = () => ({
        ...{ node, peer, connectedAt, incremental, modules },
        subscriptions: stream.status(),
        snapshot: snapshots.value,
      });
      clients.add(client);
      log.info({ node: node.id, peer }, "client connected");
      snapshots.watch((snapshot) => {
        outbox.whenEmpty(() => stream.onSnapshot(snapshot));
        onChange?.();
      }, gone.signal);
    }

    call.on("data", (request: Request) => {
      if (!client) {
        if (!request.node?.id)
          return void call.emit("error", {
            code: status.INVALID_ARGUMENT,
            details: "the first request names no node",
          });
        onFirstRequest(request.node);
      }
      const refusal = readRefusal(request.errorDetail);
      if (refusal && isRefused(refusal)) {
        log.warn(
          { node: client?.().node.id, typeUrl: request.typeUrl, error: refusal.message },
          "client refused a response",
        );
      }
      tally.note(modules, modulesOf(request));
      stream.onRequest(request);
      onChange?.();
    });
    const end = () => {
      if (gone.signal.aborted) return;
      gone.abort();
      if (client) {
        log.info({ node: client().node.id, peer }, "client gone");
        clients.delete(client);
        tally.forget(modules);
        onChange?.();
      }
      call.end();
    };
    call.on("end", end);
    call.on("cancelled", end);
    call.on("error", end);
  }

  return {
    definition: serverDefinition,
    implementation: {
      streamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, Buffer>) =>
        serve(call, createStateOfTheWorldStream, false),
      deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>) =>
        serve(call, createIncrementalStream, true),
    },
    clients: () => [...clients].map((client) => client()),
    modulesOf: tally.of,
  };
}

/** Beyond this many bytes on their way to a client, what follows waits to be encoded. */
const maxBytesInFlight = 64 * 1024;

/**
 * Writes responses while the client takes them. For one that does not, responses wait unencoded and of the snapshots
 * only the latest: it costs no memory to be slow, and what was overtaken is never sent.
 */
function createOutbox(call: { write(bytes: Buffer, written: () => void): unknown }) {
  const waiting: (() => Buffer)[] = [];
  let inFlight = 0;
  let next: (() => void) | undefined;
  const isFull = () => inFlight >= maxBytesInFlight;

  function write(bytes: Buffer): void {
    inFlight += bytes.length;
    call.write(bytes, () => {
      inFlight -= bytes.length;
      while (waiting.length > 0 && !isFull()) write(waiting.shift()!());
      if (waiting.length > 0 || isFull() || !next) return;
      const run = next;
      next = undefined;
      run();
    });
  }

  return {
    send(encode: () => Buffer): void {
      if (waiting.length > 0 || isFull()) waiting.push(encode);
      else write(encode());
    },
    /** Runs `push` when nothing waits any more; only the latest one. */
    whenEmpty(push: () => void): void {
      if (waiting.length > 0 || isFull()) next = push;
      else push();
    },
  };
}
