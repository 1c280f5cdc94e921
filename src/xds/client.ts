import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ChannelCredentials, type ClientDuplexStream, makeGenericClientConstructor } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
import {
  adsDefinition,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  connectTimeoutMs as defaultConnectTimeoutMs,
  grpcOptions,
} from "./ads.ts";
import { type Connecting, whenLate } from "./connect-in-time.ts";
import { rawResource, type XdsResource } from "./snapshot.ts";

const AdsClient = makeGenericClientConstructor(adsDefinition, "AggregatedDiscoveryService");

/** The two streams of the service, as gRPC hands them out. */
export interface AdsChannel extends Connecting {
  streamAggregatedResources(): ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
  deltaAggregatedResources(): ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
  close(): void;
}

/** A channel to `host:port` or `unix:/path`, plaintext unless said. Connects when its first stream is opened. */
export function openAdsChannel(
  target: string,
  credentials: ChannelCredentials = ChannelCredentials.createInsecure(),
): AdsChannel {
  return new AdsClient(target, credentials, grpcOptions) as unknown as AdsChannel;
}

/** What changed of one type in one response. State-of-the-world responses are turned into the same form. */
export interface TypeUpdate {
  readonly typeUrl: string;
  readonly changed: readonly XdsResource[];
  readonly removed: readonly string[];
}

/** Why resources of an update were not taken, by name. */
export type Refusals = ReadonlyMap<string, string>;

export interface XdsClientOptions {
  readonly target: string;
  /** Plaintext unless given. */
  readonly credentials?: ChannelCredentials | undefined;
  readonly node: Node;
  /** Types to subscribe to, all resources of each. */
  readonly typeUrls: readonly string[];
  /** `incremental` unless the server has only the state of the world (Higress' core). */
  readonly mode: "incremental" | "state-of-the-world";
  /** Names the resource in an `Any` of a state-of-the-world response, which carries no names. May throw. */
  readonly nameOf: (value: Uint8Array) => string;
  /** Takes an update, but for the resources that it refuses. What it throws refuses all of it. The server is told. */
  readonly onUpdate: (update: TypeUpdate) => Refusals;
  /** How long a connection may take to be there; 10 seconds unless given. */
  readonly connectTimeoutMs?: number;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * Follows a server until the signal aborts: connects again whenever the stream ends, and then says what it has, so that
 * only what changed meanwhile comes. What was received stays in effect while there is no server.
 */
export function followServer(options: XdsClientOptions): void {
  const { target, connectTimeoutMs = defaultConnectTimeoutMs, signal, log } = options;
  if (signal.aborted) return;
  let channel = openAdsChannel(target, options.credentials);
  const received = new Map(options.typeUrls.map((typeUrl) => [typeUrl, new Map<string, string>()]));
  /** Since when the channel has had no answer, while there is none; it was made then, or lost its connection. */
  let silentSince = performance.now();
  let failures = 0;
  let current: { cancel(): void } | undefined;
  let pause: NodeJS.Timeout | undefined;
  signal.addEventListener(
    "abort",
    () => {
      clearTimeout(pause);
      current?.cancel();
      channel.close();
    },
    { once: true },
  );

  const renew = () => {
    channel.close();
    channel = openAdsChannel(target, options.credentials);
    silentSince = performance.now();
  };

  const connect = () => {
    // Once a connection was refused, gRPC ends streams at once, also while the next one is waited for without an end.
    if (performance.now() - silentSince >= connectTimeoutMs) renew();
    const open = options.mode === "incremental" ? openIncremental : openStateOfTheWorld;
    let answered = false;
    let ended = false;
    const stream = open(channel, options, received, () => {
      if (answered) return;
      answered = true;
      failures = 0;
      log.info({ target }, "connected");
    });
    const onEnd = (error?: Error) => {
      if (ended || signal.aborted) return;
      ended = true;
      if (answered) silentSince = performance.now();
      if (failures === 0)
        log.warn(
          { target, error: error && errorText(error) },
          "not connected; what was received stays in effect",
        );
      pause = setTimeout(connect, backoffMs(failures++));
    };
    stream.on("error", onEnd);
    stream.on("end", () => onEnd());
    current = stream;
    whenLate(channel, stream, connectTimeoutMs, () => {
      if (ended || signal.aborted) return;
      renew();
      onEnd(new SystemError("timeout", `no connection within ${connectTimeoutMs / 1000} s`));
      stream.cancel();
    });
  };
  connect();
}

/** 50 ms doubling to 5 s, of which a random half: many clients of a server that restarts must not come at once. */
export function backoffMs(failures: number): number {
  return Math.min(50 * 2 ** Math.min(failures, 7), 5000) * (0.5 + Math.random() / 2);
}

/** By type URL and name the version of what was received; "" where it was refused, so that it comes again. */
type Received = ReadonlyMap<string, Map<string, string>>;

function openIncremental(
  channel: AdsChannel,
  options: XdsClientOptions,
  received: Received,
  onAnswer: () => void,
) {
  const stream = channel.deltaAggregatedResources();
  const request = (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
    stream.write(create(DeltaDiscoveryRequestSchema, fields));
  stream.on("data", (response: DeltaDiscoveryResponse) => {
    onAnswer();
    const { typeUrl, nonce: responseNonce } = response;
    const changed = response.resources.map(({ name, version, resource }) => ({
      name,
      version,
      typeUrl: resource?.typeUrl ?? "",
      value: resource?.value ?? new Uint8Array(),
    }));
    const errors = apply(options, received, { typeUrl, changed, removed: response.removedResources });
    request({ typeUrl, responseNonce, errorDetail: refusal(errors) });
  });
  options.typeUrls.forEach((typeUrl, index) => {
    request({
      typeUrl,
      node: index === 0 ? options.node : undefined,
      initialResourceVersions: Object.fromEntries(received.get(typeUrl)!),
    });
  });
  return stream;
}

function openStateOfTheWorld(
  channel: AdsChannel,
  options: XdsClientOptions,
  received: Received,
  onAnswer: () => void,
) {
  const stream = channel.streamAggregatedResources();
  const accepted = new Map<string, string>();
  const request = (fields: MessageInitShape<typeof DiscoveryRequestSchema>) =>
    stream.write(create(DiscoveryRequestSchema, fields));
  stream.on("data", (response: DiscoveryResponse) => {
    onAnswer();
    const { typeUrl, versionInfo, nonce: responseNonce } = response;
    const { update, unnamed } = worldDiff(options, received.get(typeUrl), response);
    const errors = [...unnamed, ...apply(options, received, update)];
    if (errors.length === 0) accepted.set(typeUrl, versionInfo);
    // A refusal names the version that stays in effect.
    const inEffect = accepted.get(typeUrl) ?? "";
    request({ typeUrl, versionInfo: inEffect, responseNonce, errorDetail: refusal(errors) });
  });
  // Istio's servers look for the node in the first request of each type.
  for (const typeUrl of options.typeUrls) request({ typeUrl, node: options.node });
  return stream;
}

function worldDiff(
  { nameOf }: XdsClientOptions,
  known: ReadonlyMap<string, string> | undefined,
  { typeUrl, resources }: DiscoveryResponse,
): { update: TypeUpdate; unnamed: string[] } {
  const world: XdsResource[] = [];
  const unnamed: string[] = [];
  for (const any of resources) {
    try {
      world.push(rawResource(nameOf(any.value), any.typeUrl, any.value));
    } catch (error) {
      unnamed.push(`a resource without a readable name: ${errorText(error)}`);
    }
  }
  const names = new Set(world.map(({ name }) => name));
  const missing = [...(known?.keys() ?? [])].filter((name) => !names.has(name));
  const changed = world.filter(({ name, version }) => known?.get(name) !== version);
  // Any of those that are missing may be the one that cannot be read.
  return { update: { typeUrl, changed, removed: unnamed.length > 0 ? [] : missing }, unnamed };
}

/** Hands an update on and notes what was received. Gives back why what of it was not taken. */
function apply({ onUpdate }: XdsClientOptions, received: Received, update: TypeUpdate): string[] {
  const known = received.get(update.typeUrl);
  if (!known) return [];
  let refusals: Refusals;
  try {
    refusals = onUpdate(update);
  } catch (error) {
    // Nobody knows how much of it was taken.
    for (const { name } of update.changed) known.set(name, "");
    return [errorText(error)];
  }
  for (const { name, version } of update.changed) known.set(name, refusals.has(name) ? "" : version);
  for (const name of update.removed) known.delete(name);
  return [...refusals].map(([name, reason]) => `${name}: ${reason}`);
}

/** As many reasons as somebody reads. */
const maxReasons = 10;

/** The error of a NACK; undefined where there is nothing to refuse. */
function refusal(reasons: readonly string[]) {
  if (reasons.length === 0) return undefined;
  const more = reasons.length - maxReasons;
  const shown = [...reasons.slice(0, maxReasons), ...(more > 0 ? [`and ${more} more`] : [])];
  return create(StatusSchema, { code: 3, message: shown.join("; ") });
}
