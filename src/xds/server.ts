import type {
  Metadata,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import { type DeltaDiscoveryRequest, type DiscoveryRequest, serverDefinition } from "./ads.ts";
import { createIncrementalStream } from "./incremental-stream.ts";
import { createModuleTally, modulesOf } from "./module-digests.ts";
import { isRefused, readRefusal } from "./refusal.ts";
import type { Send, ServerStream } from "./server-stream.ts";
import type { Snapshot } from "./snapshot.ts";
import { createStateOfTheWorldStream } from "./state-of-the-world-stream.ts";
import { endAfter, endInTime, type StreamLife } from "./stream-life.ts";
import { StreamRefusal } from "./stream-refusal.ts";
import type { SubscriptionStatus } from "./subscription.ts";

/** Who a client has proved to be. */
export interface Identity {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** When what proved it expires, in ms since 1970. */
  readonly expiresAt?: number;
}

/** Who opened a stream. */
export interface Caller {
  /** Its address, `ip:port` or `unix:`. */
  readonly peer: string;
  /** Who it has proved to be; undefined where nobody asked. */
  readonly identity: Identity | undefined;
  /** Aborts when the stream has ended. */
  readonly gone: AbortSignal;
}

/**
 * Decides who may open a stream, before anything of it is read.
 * @throws StreamRefusal
 */
export type Admit = (metadata: Metadata, peer: string) => Promise<Identity | undefined>;

export interface XdsServerOptions {
  /**
   * What a client gets. Called once a stream, with its first request's node.
   * @throws StreamRefusal for who gets nothing
   */
  readonly snapshotFor: (node: Node, caller: Caller) => Watchable<Snapshot>;
  /** Hears that a client has come, gone, said something or was sent something. */
  readonly onChange?: () => void;
  /** How long streams live; as long as their clients unless given. */
  readonly life?: StreamLife;
  readonly log: Log;
}

/** One connected client, for status pages. */
export interface ClientStatus {
  readonly node: Node;
  readonly peer: string;
  readonly identity: Identity | undefined;
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
  /** For everybody who can connect. */
  readonly implementation: UntypedServiceImplementation;
  /** For those who are admitted. */
  implement(admit: Admit | undefined): UntypedServiceImplementation;
  clients(): readonly ClientStatus[];
  /** How many streams were refused, by the name of the gRPC code. */
  refusals(): ReadonlyMap<string, number>;
  /** By digest of its module, on how many clients a plugin runs with it. */
  modulesOf(plugin: string): ReadonlyMap<string, number>;
  /** Ends all streams in peace, spread over a time in milliseconds. Resolves when nobody is connected. */
  drain(ms: number): Promise<void>;
}

/** Serves snapshots to any number of clients in both forms of the protocol. A client is answered from the first snapshot on. */
export function createXdsServer({ snapshotFor, onChange, life, log }: XdsServerOptions): XdsServer {
  const clients = new Set<() => ClientStatus>();
  const open = new Set<OpenStream>();
  const refusals = new Map<string, number>();
  const tally = createModuleTally();

  function serve<Request extends DiscoveryRequest | DeltaDiscoveryRequest>(
    call: ServerDuplexStream<Request, Buffer>,
    identity: Identity | undefined,
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
      const snapshots = snapshotFor(node, { peer, identity, gone: gone.signal });
      const connectedAt = new Date();
      client = () => ({
        ...{ node, peer, identity, connectedAt, incremental, modules },
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

    function onRequest(request: Request): void {
      if (gone.signal.aborted) return;
      if (!client) {
        if (!request.node?.id)
          throw new StreamRefusal(status.INVALID_ARGUMENT, "the first request names no node");
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
    }

    const end = () => {
      if (gone.signal.aborted) return;
      gone.abort();
      open.delete(opened);
      if (client) {
        log.info({ node: client().node.id, peer }, "client gone");
        clients.delete(client);
        tally.forget(modules);
        onChange?.();
      }
      call.end();
    };
    call.on("data", (request: Request) => {
      try {
        onRequest(request);
      } catch (error) {
        if (!(error instanceof StreamRefusal)) throw error;
        refuse(call, error, request.node?.id);
      }
    });
    call.on("end", end);
    call.on("cancelled", end);
    call.on("error", end);
    const opened = { gone: gone.signal, end };
    open.add(opened);
    const endStream = (refusal?: StreamRefusal) => (refusal ? refuse(call, refusal) : end());
    if (life) endInTime(life, identity?.expiresAt, endStream, gone.signal);
  }

  function refuse(call: Refusable, { code, message }: StreamRefusal, node?: string): void {
    const name = status[code];
    refusals.set(name, (refusals.get(name) ?? 0) + 1);
    log.warn({ peer: call.getPeer(), node, code: name, error: message }, "refused a client");
    call.emit("error", { code, details: message });
  }

  function implement(admit?: Admit): UntypedServiceImplementation {
    const method =
      <Request extends DiscoveryRequest | DeltaDiscoveryRequest>(
        createStream: (send: Send) => ServerStream<Request>,
        incremental: boolean,
      ) =>
      (call: ServerDuplexStream<Request, Buffer>) => {
        if (!admit) return serve(call, undefined, createStream, incremental);
        admit(call.metadata, call.getPeer()).then(
          (identity) => call.cancelled || serve(call, identity, createStream, incremental),
          (error) => call.cancelled || refuse(call, asRefusal(error)),
        );
      };
    return {
      streamAggregatedResources: method(createStateOfTheWorldStream, false),
      deltaAggregatedResources: method(createIncrementalStream, true),
    };
  }

  return {
    definition: serverDefinition,
    implementation: implement(),
    implement,
    clients: () => [...clients].map((client) => client()),
    refusals: () => refusals,
    async drain(ms) {
      await Promise.all([...open].map((stream) => endWithin(ms, stream)));
    },
    modulesOf: tally.of,
  };
}

type Refusable = Pick<ServerDuplexStream<unknown, Buffer>, "getPeer"> & {
  emit(event: "error", error: { readonly code: status; readonly details: string }): unknown;
};

interface OpenStream {
  readonly gone: AbortSignal;
  end(): void;
}

/** Ends a stream at any moment within a time. Resolves when it has ended, also by itself. */
function endWithin(ms: number, { gone, end }: OpenStream): Promise<void> {
  return new Promise((resolve) => {
    gone.addEventListener("abort", () => resolve(), { once: true });
    endAfter(Math.random() * ms, end, gone);
  });
}

function asRefusal(error: unknown): StreamRefusal {
  if (error instanceof StreamRefusal) return error;
  return new StreamRefusal(status.UNAVAILABLE, errorText(error));
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
