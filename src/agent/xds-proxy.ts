import { chmod, rm } from "node:fs/promises";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type ClientDuplexStream,
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
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
import { createIncrementalSession, type EcdsSession, type SessionOptions } from "./ecds-incremental.ts";
import { createStateOfTheWorldSession } from "./ecds-state-of-the-world.ts";
import { explainRefusals } from "./explain-refusals.ts";
import type { PluginLog } from "./plugin-log.ts";
import type { ModuleResolver } from "./resolve-module.ts";

export interface XdsProxyOptions {
  /** Discovery, as `host:port`. */
  readonly target: string;
  /** Path of the unix socket that Envoy connects to. */
  readonly socket: string;
  readonly resolver: ModuleResolver;
  /** Makes of an encoded listener what Envoy gets; the same unless given. */
  readonly rewriteListener?: (listener: Uint8Array) => Uint8Array;
  /** Of the Envoy that the agent runs: what it refuses is explained by it. */
  readonly pluginLog?: PluginLog;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const DiscoveryClient = makeGenericClientConstructor(passThroughDefinition, "AggregatedDiscoveryService");
type Method = keyof typeof adsDefinition;
type Upstream = Record<Method, () => ClientDuplexStream<Buffer, Buffer>> & { close(): void };

/**
 * ADS between Envoy and discovery. Every type passes as the bytes it came in, but ECDS, in which modules are put in the
 * place of their urls, and listeners where they are rewritten. A stream of Envoy is a stream to discovery: when one ends, so does the other, and Envoy connects
 * again by itself, keeping what it has.
 */
export async function serveXdsProxy(options: XdsProxyOptions): Promise<void> {
  const { socket, signal, log } = options;
  const channel = new DiscoveryClient(
    options.target,
    credentials.createInsecure(),
    grpcOptions,
  ) as unknown as Upstream;
  const server = new Server(grpcOptions);
  server.addService(passThroughDefinition, {
    streamAggregatedResources: (call: ServerDuplexStream<Buffer, Buffer>) =>
      proxyStream(call, channel, options, "streamAggregatedResources", createStateOfTheWorldSession),
    deltaAggregatedResources: (call: ServerDuplexStream<Buffer, Buffer>) =>
      proxyStream(call, channel, options, "deltaAggregatedResources", createIncrementalSession),
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
  signal.addEventListener("abort", () => {
    server.forceShutdown();
    channel.close();
  });
}

/** Joins one stream of Envoy to a new one of discovery. */
function proxyStream<Request extends DiscoveryRequest | DeltaDiscoveryRequest, Response>(
  down: ServerDuplexStream<Buffer, Buffer>,
  channel: Upstream,
  { resolver, rewriteListener, pluginLog, log }: XdsProxyOptions,
  method: Method,
  createSession: (options: SessionOptions<Request, Response>) => EcdsSession<Request, Response>,
): void {
  const { requestDeserialize, requestSerialize, responseDeserialize, responseSerialize } =
    adsDefinition[method];
  const ended = new AbortController();
  const up = channel[method]();
  const bare = createSession({
    resolver,
    pluginLog,
    sendUp: (request) => void up.write(requestSerialize(request as never)),
    sendDown: (response) => void down.write(responseSerialize(response as never)),
    signal: ended.signal,
  });
  const session = pluginLog ? explainRefusals(bare, pluginLog, ended.signal) : bare;
  const end = (error?: Error) => {
    if (ended.signal.aborted) return;
    ended.abort();
    up.cancel();
    if (error) {
      log.warn({ error: errorText(error) }, "no stream to discovery; the gateway keeps what it has");
      // Unavailable makes Envoy come back with its own backoff.
      down.emit("error", { code: status.UNAVAILABLE, details: "discovery is away" });
    } else down.end();
  };
  /** A message that cannot be read is the end of the stream, not of the agent. */
  const orEnd = (take: (bytes: Buffer) => void) => (bytes: Buffer) => {
    try {
      take(bytes);
    } catch (error) {
      end(SystemError.from(error, "xds", "a message cannot be read"));
    }
  };
  const onRequest = (bytes: Buffer) => {
    if (typeUrlOf(bytes, "request", method) !== typeUrls.extensionConfig) passOn(bytes, down, up);
    else session.onRequest(requestDeserialize(bytes) as Request);
  };
  const onResponse = (bytes: Buffer) => {
    const typeUrl = typeUrlOf(bytes, "response", method);
    if (typeUrl === typeUrls.extensionConfig) session.onResponse(responseDeserialize(bytes) as Response);
    else if (typeUrl === typeUrls.listener && rewriteListener) {
      const response = withResources(responseDeserialize(bytes), rewriteListener);
      passOn(responseSerialize(response as never), up, down);
    } else passOn(bytes, up, down);
  };
  down.on("data", orEnd(onRequest));
  up.on("data", orEnd(onResponse));
  up.on("error", end);
  up.on("end", () => end(new SystemError("xds", "discovery closed the stream")));
  down.on("end", () => end());
  down.on("cancelled", () => end());
  down.on("error", () => end());
}

/** A response with each of its resources rewritten. */
function withResources<Message extends DiscoveryResponse | DeltaDiscoveryResponse>(
  response: Message,
  rewrite: (value: Uint8Array) => Uint8Array,
): Message {
  for (const each of response.resources) {
    const any = each.$typeName === AnySchema.typeName ? each : each.resource;
    if (any) any.value = rewrite(any.value);
  }
  return response;
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
