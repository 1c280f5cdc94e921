import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ClientDuplexStream, credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import {
  adsDefinition,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  grpcOptions,
} from "./ads.ts";
import { rawResource, type XdsResource } from "./snapshot.ts";

const AdsClient = makeGenericClientConstructor(adsDefinition, "AggregatedDiscoveryService");

/** The two streams of the service, as gRPC hands them out. */
export interface AdsChannel {
  streamAggregatedResources(): ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
  deltaAggregatedResources(): ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
  close(): void;
}

/** A plaintext channel to `host:port` or `unix:/path`. Connects when its first stream is opened. */
export function openAdsChannel(target: string): AdsChannel {
  return new AdsClient(target, credentials.createInsecure(), grpcOptions) as unknown as AdsChannel;
}

/** What changed of one type in one response. State-of-the-world responses are turned into the same form. */
export interface TypeUpdate {
  readonly typeUrl: string;
  readonly changed: readonly XdsResource[];
  readonly removed: readonly string[];
}

export interface XdsClientOptions {
  readonly target: string;
  readonly node: Node;
  /** Types to subscribe to, all resources of each. */
  readonly typeUrls: readonly string[];
  /** `incremental` unless the server has only the state of the world (Higress' core). */
  readonly mode: "incremental" | "state-of-the-world";
  /** Names the resource in an `Any` of a state-of-the-world response, which carries no names. */
  readonly nameOf: (value: Uint8Array) => string;
  /** Takes an update. What it throws is sent to the server as the refusal of that response. */
  readonly onUpdate: (update: TypeUpdate) => void;
  readonly onConnected?: (connected: boolean) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * Follows a server until the signal aborts: connects again whenever the stream ends, and then says what it has, so that
 * only what changed meanwhile comes. What was received stays in effect while there is no server.
 */
export function followServer(options: XdsClientOptions): void {
  const { target, signal, log, onConnected } = options;
  const channel = openAdsChannel(target);
  const received = new Map(options.typeUrls.map((typeUrl) => [typeUrl, new Map<string, XdsResource>()]));
  let failures = 0;
  let current: { cancel(): void } | undefined;
  signal.addEventListener(
    "abort",
    () => {
      current?.cancel();
      channel.close();
    },
    { once: true },
  );

  const connect = () => {
    const open = options.mode === "incremental" ? openIncremental : openStateOfTheWorld;
    let answered = false;
    let ended = false;
    const stream = open(channel, options, received, () => {
      if (answered) return;
      answered = true;
      failures = 0;
      onConnected?.(true);
      log.info({ target }, "connected");
    });
    const onEnd = (error?: Error) => {
      if (ended || signal.aborted) return;
      ended = true;
      if (answered) onConnected?.(false);
      if (failures === 0)
        log.warn(
          { target, error: error && errorText(error) },
          "not connected; what was received stays in effect",
        );
      setTimeout(() => signal.aborted || connect(), backoffMs(failures++));
    };
    stream.on("error", onEnd);
    stream.on("end", () => onEnd());
    current = stream;
  };
  connect();
}

/** 50 ms doubling to 5 s, of which a random half: many clients of a server that restarts must not come at once. */
function backoffMs(failures: number): number {
  return Math.min(50 * 2 ** Math.min(failures, 7), 5000) * (0.5 + Math.random() / 2);
}

type Received = Map<string, Map<string, XdsResource>>;

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
    const error = apply(options, received, { typeUrl, changed, removed: response.removedResources });
    request({ typeUrl, responseNonce, errorDetail: error });
  });
  options.typeUrls.forEach((typeUrl, index) => {
    const versions = [...received.get(typeUrl)!.values()].map(({ name, version }) => [name, version]);
    request({
      typeUrl,
      node: index === 0 ? options.node : undefined,
      initialResourceVersions: Object.fromEntries(versions),
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
  const request = (fields: MessageInitShape<typeof DiscoveryRequestSchema>) =>
    stream.write(create(DiscoveryRequestSchema, fields));
  stream.on("data", (response: DiscoveryResponse) => {
    onAnswer();
    const { typeUrl, versionInfo, nonce: responseNonce } = response;
    const error = apply(options, received, worldDiff(options, received.get(typeUrl), response));
    request({ typeUrl, versionInfo, responseNonce, errorDetail: error });
  });
  // Istio's servers look for the node in the first request of each type.
  for (const typeUrl of options.typeUrls) request({ typeUrl, node: options.node });
  return stream;
}

function worldDiff(
  { nameOf }: XdsClientOptions,
  known: ReadonlyMap<string, XdsResource> | undefined,
  { typeUrl, resources }: DiscoveryResponse,
): TypeUpdate {
  const world = resources.map((any) => rawResource(nameOf(any.value), any.typeUrl, any.value));
  const names = new Set(world.map(({ name }) => name));
  return {
    typeUrl,
    changed: world.filter(({ name, version }) => known?.get(name)?.version !== version),
    removed: [...(known?.keys() ?? [])].filter((name) => !names.has(name)),
  };
}

/** Hands an update on and notes what was received. Gives back the refusal if the update was not taken. */
function apply({ onUpdate }: XdsClientOptions, received: Received, update: TypeUpdate) {
  const known = received.get(update.typeUrl);
  if (!known) return undefined;
  let error: unknown;
  try {
    onUpdate(update);
  } catch (caught) {
    error = caught;
  }
  if (error !== undefined) return create(StatusSchema, { code: 3, message: errorText(error) });
  for (const { name, version, typeUrl } of update.changed) {
    // The versions are what a reconnect needs; the bytes belong to whoever took the update.
    known.set(name, { name, version, typeUrl, value: new Uint8Array() });
  }
  for (const name of update.removed) known.delete(name);
  return undefined;
}
