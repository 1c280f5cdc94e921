import type { Writable } from "node:stream";
import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Log } from "../log.ts";
import type { Watchable } from "../watchable.ts";
import { adsDefinition, type DeltaDiscoveryRequest, type DiscoveryRequest } from "./ads.ts";
import { createIncrementalStream } from "./incremental-stream.ts";
import type { ServerStream } from "./server-stream.ts";
import type { Snapshot } from "./snapshot.ts";
import { createStateOfTheWorldStream } from "./state-of-the-world-stream.ts";
import type { SubscriptionStatus } from "./subscription.ts";

export interface XdsServerOptions {
  /** What a client gets. Called once a stream, with its first request's node and its address (`ip:port` or `unix:`). */
  readonly snapshotFor: (node: Node, peer: string) => Watchable<Snapshot>;
  readonly log: Log;
  /** Called when a client comes, goes or answers. */
  readonly onClientChange?: () => void;
}

/** One connected client, for status pages. */
export interface ClientStatus {
  readonly node: Node;
  readonly peer: string;
  readonly connectedAt: Date;
  readonly incremental: boolean;
  readonly subscriptions: readonly SubscriptionStatus[];
}

/** The aggregated discovery service, to be added to a gRPC server. */
export interface XdsServer {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  clients(): readonly ClientStatus[];
}

/** Serves snapshots to any number of clients in both forms of the protocol. A client is answered from the first snapshot on. */
export function createXdsServer({ snapshotFor, log, onClientChange = () => {} }: XdsServerOptions): XdsServer {
  const clients = new Set<() => ClientStatus>();

  function serve<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
    call: ServerDuplexStream<Request, Response>,
    createStream: (send: (response: Response) => void) => ServerStream<Request>,
    incremental: boolean,
  ): void {
    const peer = call.getPeer();
    const gone = new AbortController();
    const stream = createStream((response) => call.write(response));
    let client: (() => ClientStatus) | undefined;

    function onFirstRequest(node: Node): void {
      const connectedAt = new Date();
      client = () => ({ node, peer, connectedAt, incremental, subscriptions: stream.status() });
      clients.add(client);
      log.info({ node: node.id, peer }, "client connected");
      const push = pushWhenWritable(call, stream, gone.signal);
      snapshotFor(node, peer).watch(push, gone.signal);
    }

    call.on("data", (request: Request) => {
      if (!client) {
        if (!request.node?.id) return void call.emit("error", { code: status.INVALID_ARGUMENT, details: "the first request names no node" });
        onFirstRequest(request.node);
      }
      if (request.errorDetail) {
        log.warn({ node: client?.().node.id, typeUrl: request.typeUrl, error: request.errorDetail.message }, "client refused a response");
      }
      stream.onRequest(request);
      onClientChange();
    });
    const end = () => {
      if (gone.signal.aborted) return;
      gone.abort();
      if (client) {
        log.info({ node: client().node.id, peer }, "client gone");
        clients.delete(client);
      }
      onClientChange();
      call.end();
    };
    call.on("end", end);
    call.on("cancelled", end);
    call.on("error", end);
  }

  return {
    definition: adsDefinition,
    implementation: {
      streamAggregatedResources: (call: ServerDuplexStream<DiscoveryRequest, never>) =>
        serve(call, createStateOfTheWorldStream, false),
      deltaAggregatedResources: (call: ServerDuplexStream<DeltaDiscoveryRequest, never>) =>
        serve(call, createIncrementalStream, true),
    },
    clients: () => [...clients].map((client) => client()),
  };
}

/**
 * Hands snapshots to a stream while its client takes them. For a client that does not, only the latest waits: it costs
 * no memory to be slow, and what was overtaken is never sent.
 */
function pushWhenWritable(
  call: Pick<Writable, "writableNeedDrain" | "once">,
  stream: Pick<ServerStream<never>, "onSnapshot">,
  signal: AbortSignal,
): (snapshot: Snapshot) => void {
  let waiting: Snapshot | undefined;
  return (snapshot) => {
    if (!call.writableNeedDrain) return stream.onSnapshot(snapshot);
    if (!waiting) {
      call.once("drain", () => {
        const latest = waiting;
        waiting = undefined;
        if (latest && !signal.aborted) stream.onSnapshot(latest);
      });
    }
    waiting = snapshot;
  };
}
