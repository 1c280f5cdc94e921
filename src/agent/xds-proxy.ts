import { chmod, rm } from "node:fs/promises";
import {
  type ChannelCredentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import {
  adsDefinition,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  grpcOptions,
  passThroughDefinition,
  typeUrlOf,
} from "../xds/ads.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { type AdsMethod, createDiscoveryLink, type DiscoveryLink } from "./discovery-link.ts";
import { createIncrementalSession, type EcdsSession, type SessionOptions } from "./ecds-incremental.ts";
import { createStateOfTheWorldSession } from "./ecds-state-of-the-world.ts";
import { explainRefusals } from "./explain-refusals.ts";
import { openMemoryStream } from "./memory-stream.ts";
import type { PluginLog } from "./plugin-log.ts";
import type { ModuleResolver } from "./resolve-module.ts";
import {
  type ListenerRewrite,
  rewriteIncremental,
  rewriteStateOfTheWorld,
  unmarkIncremental,
  unmarkStateOfTheWorld,
} from "./rewrite-listeners.ts";
import { createXdsMemory, type XdsMemory } from "./xds-memory.ts";

export interface XdsProxyOptions {
  /** Discovery, as `host:port`, several separated by commas. */
  readonly target: string;
  /** How it is spoken to; in plaintext unless given. */
  readonly credentials?: ChannelCredentials;
  /** Path of the unix socket that Envoy connects to. */
  readonly socket: string;
  readonly resolver: ModuleResolver;
  /** Listeners pass as they are until this is set, and are asked for anew then. */
  readonly listenerRewrite?: Watchable<ListenerRewrite>;
  /** Of the Envoy that the agent runs: what it refuses is explained by it. */
  readonly pluginLog?: PluginLog;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What all streams of Envoy have in common. */
interface Shared extends XdsProxyOptions {
  readonly link: DiscoveryLink;
  readonly memory: XdsMemory;
  /** Streams of Envoys that are open: more than one while one Envoy takes over from another. */
  readonly open: Set<AbortController>;
}

/** One of the two forms of the protocol. */
interface Form<Request, Response> {
  readonly method: AdsMethod;
  readonly codec: {
    requestSerialize(request: Request): Buffer;
    requestDeserialize(bytes: Buffer): Request;
    responseSerialize(response: Response): Buffer;
    responseDeserialize(bytes: Buffer): Response;
  };
  createSession(options: SessionOptions<Request, Response>): EcdsSession<Request, Response>;
  learn(memory: XdsMemory, response: Response): void;
  forget(memory: XdsMemory, request: Request): void;
  /** A response of listeners as Envoy gets it, and a request for them as discovery does. */
  rewrite(response: Response, rewrite: ListenerRewrite): Response;
  unmark(request: Request): Request;
}

const incremental: Form<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = {
  method: "deltaAggregatedResources",
  codec: adsDefinition.deltaAggregatedResources,
  createSession: createIncrementalSession,
  learn: (memory, response) => memory.learnIncremental(response),
  forget: (memory, request) => memory.forgetIncremental(request),
  rewrite: rewriteIncremental,
  unmark: unmarkIncremental,
};

const stateOfTheWorld: Form<DiscoveryRequest, DiscoveryResponse> = {
  method: "streamAggregatedResources",
  codec: adsDefinition.streamAggregatedResources,
  createSession: createStateOfTheWorldSession,
  learn: (memory, response) => memory.learnStateOfTheWorld(response),
  forget: (memory, request) => memory.forgetStateOfTheWorld(request),
  rewrite: rewriteStateOfTheWorld,
  unmark: unmarkStateOfTheWorld,
};

/**
 * ADS between Envoy and discovery. Every type passes as the bytes it came in, but ECDS, in which modules are put in the
 * place of their urls, and listeners where they are rewritten. A stream of Envoy is a stream to discovery: when one ends, so does the other, and Envoy connects
 * again by itself, keeping what it has. While discovery is away Envoy is answered with what discovery said before, so that
 * also an Envoy that starts then serves.
 */
export async function serveXdsProxy(options: XdsProxyOptions): Promise<void> {
  const { socket, signal, log, listenerRewrite } = options;
  const link = createDiscoveryLink(options, signal);
  const shared: Shared = { ...options, link, memory: createXdsMemory(), open: new Set() };
  // Envoy comes again, and gets listeners that it has otherwise.
  listenerRewrite?.watch(() => {
    for (const ended of shared.open) ended.abort();
  }, signal);
  const server = new Server(grpcOptions);
  server.addService(passThroughDefinition, {
    streamAggregatedResources: (call: Downstream) => void proxyStream(call, stateOfTheWorld, shared),
    deltaAggregatedResources: (call: Downstream) => void proxyStream(call, incremental, shared),
  });
  await rm(socket, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error
        ? reject(new SystemError("xds", `cannot listen on ${socket}: ${error.message}`, error))
        : resolve(),
    );
  });
  // Whoever can write to the socket can say what the gateway runs.
  await chmod(socket, 0o600);
  log.info({ socket, discovery: options.target }, "serving xDS to the gateway");
  signal.addEventListener("abort", () => server.forceShutdown());
}

type Downstream = ServerDuplexStream<Buffer, Buffer>;

async function proxyStream<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
  down: Downstream,
  form: Form<Request, Response>,
  shared: Shared,
): Promise<void> {
  const { link, memory, log } = shared;
  const ended = new AbortController();
  for (const event of ["end", "cancelled", "error"]) down.on(event, () => ended.abort());
  const isThere = await link.isThere();
  const snapshot = isThere ? undefined : memory.snapshot();
  if (snapshot && !ended.signal.aborted) {
    log.warn({}, "discovery is away; the gateway is answered with what it said before");
    const up = openMemoryStream(form.method, snapshot);
    // Envoy comes again then, and says what it has.
    void link.whenThere(ended.signal).then(() => ended.abort());
    return join({ down, up, ended, cancel: () => up.destroy(), learn: () => {} }, form, shared);
  }
  if (!isThere) log.warn({}, "discovery is away; the gateway waits for it");
  await link.whenThere(ended.signal);
  if (ended.signal.aborted) return;
  const up = link.open(form.method);
  noteAnswers(up, link, ended.signal);
  const learn = (response: Response) => form.learn(memory, response);
  join({ down, up, ended, cancel: () => up.cancel(), learn }, form, shared);
}

/** Tells the link whether discovery says anything on a stream before it ends it. */
function noteAnswers(up: Upstream, link: DiscoveryLink, ended: AbortSignal): void {
  let answered = false;
  up.once("data", () => {
    answered = true;
    link.answered();
  });
  for (const event of ["end", "error"] as const)
    up.once(event, () => answered || ended.aborted || link.failed());
}

/** Where Envoy's requests go: a stream to discovery, or the agent's memory of one. */
interface Upstream {
  write(bytes: Buffer): boolean;
  pause(): unknown;
  resume(): unknown;
  on(event: "data", listener: (bytes: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  once(event: "data" | "end" | "error" | "drain", listener: () => void): unknown;
}

interface Joint<Response> {
  readonly down: Downstream;
  readonly up: Upstream;
  /** Aborts when either has ended; aborting it ends both in peace. */
  readonly ended: AbortController;
  readonly cancel: () => void;
  /** Gets what comes from upstream. */
  readonly learn: (response: Response) => void;
}

/** Joins one stream of Envoy to a new one upstream. */
function join<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
  { down, up, ended, cancel, learn }: Joint<Response>,
  form: Form<Request, Response>,
  { resolver, pluginLog, listenerRewrite, log, memory, open }: Shared,
): void {
  const { method, codec } = form;
  const rewrite = listenerRewrite?.value;
  open.add(ended);
  const bare = form.createSession({
    resolver,
    pluginLog,
    sendUp: (request) => void up.write(codec.requestSerialize(request)),
    sendDown: (response) => void down.write(codec.responseSerialize(response)),
    signal: ended.signal,
  });
  const session = pluginLog ? explainRefusals(bare, pluginLog, ended.signal) : bare;
  let failed = false;
  ended.signal.addEventListener("abort", () => {
    open.delete(ended);
    cancel();
    if (!failed) down.end();
  });
  const leave = () => {
    failed = true;
    ended.abort();
    // Unavailable makes Envoy come back with its own backoff.
    down.emit("error", { code: status.UNAVAILABLE, details: "discovery is away" });
  };
  const fail = (error: Error) => {
    if (ended.signal.aborted) return;
    log.warn({ error: errorText(error) }, "no stream to discovery; the gateway keeps what it has");
    leave();
  };
  /** A message that cannot be read is the end of the stream, not of the agent. */
  const orFail = (take: (bytes: Buffer) => void) => (bytes: Buffer) => {
    try {
      take(bytes);
    } catch (error) {
      fail(SystemError.from(error, "xds", "a message cannot be read"));
    }
  };
  const onRequest = (bytes: Buffer) => {
    const request = codec.requestDeserialize(bytes);
    // What an Envoy that drains has no use for any more, its successor may have.
    if (open.size === 1) form.forget(memory, request);
    const typeUrl = typeUrlOf(bytes, "request", method);
    if (typeUrl === typeUrls.extensionConfig) session.onRequest(request);
    else if (typeUrl === typeUrls.listener && rewrite)
      passOn(codec.requestSerialize(form.unmark(request)), down, up);
    else passOn(bytes, down, up);
  };
  const onResponse = (bytes: Buffer) => {
    const response = codec.responseDeserialize(bytes);
    learn(response);
    const typeUrl = typeUrlOf(bytes, "response", method);
    if (typeUrl === typeUrls.extensionConfig) session.onResponse(response);
    else if (typeUrl === typeUrls.listener && rewrite)
      passOn(codec.responseSerialize(form.rewrite(response, rewrite)), up, down);
    else passOn(bytes, up, down);
  };
  down.on("data", orFail(onRequest));
  up.on("data", orFail(onResponse));
  up.on("error", fail);
  up.on("end", () => {
    if (ended.signal.aborted) return;
    log.info({}, "discovery ended the stream in peace; the gateway connects again");
    leave();
  });
}

/** Writes, and stops reading from where it came until it could be written. */
function passOn(
  bytes: Buffer,
  from: { pause(): unknown; resume(): unknown },
  to: { write(chunk: Buffer): boolean; once(event: "drain", listener: () => void): unknown },
): void {
  if (to.write(bytes)) return;
  from.pause();
  to.once("drain", () => from.resume());
}
