import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { whenChanged } from "../incremental.ts";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import type { DeltaDiscoveryResponse } from "../xds/ads.ts";
import { type AdsChannel, backoffMs, openAdsChannel } from "../xds/client.ts";
import { refusalStatus } from "../xds/refusal.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { applyResponse, emptyConfig } from "./apply-response.ts";
import type { GatewayConfig } from "./gateway-config.ts";
import { createUpdates, type Preparers, type Update } from "./prepare-updates.ts";
import { collectReferences, type ReferredKey, referredTypes } from "./references.ts";
import { receivedKeys } from "./resource-kinds.ts";

export interface FollowAgentOptions {
  /** `unix:/path` of the agent, or any other server of ADS. */
  readonly target: string;
  readonly node: Node;
  /** Gets each new configuration. */
  readonly config: Watchable<GatewayConfig>;
  /** What has to be ready before a resource counts, and before it is acknowledged. */
  readonly preparers?: Preparers;
  /** How long clusters and listeners wait for endpoints and routes, in milliseconds. Envoy's default is 15,000. */
  readonly fetchTimeoutMs?: number;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** The stream has had its first answer, or has ended. */
  readonly onConnected?: (isConnected: boolean) => void;
}

/** Envoy's `initial_fetch_timeout`. */
const defaultFetchTimeoutMs = 15_000;

/** Types for which the wait ends: routes and endpoints that never come are none. Plugins and secrets are waited for. */
const impatient: readonly ReferredKey[] = ["endpoints", "routes"];

/**
 * Takes a gateway's configuration from its agent, as Envoy does with incremental ADS: clusters first, with their
 * endpoints, then listeners, with their secrets, filters and routes; what is referred to is asked for by name. While there
 * is no agent everything stays; afterwards only what changed meanwhile comes.
 */
export function followAgent(options: FollowAgentOptions): void {
  const { target, signal, log } = options;
  if (signal.aborted) return;
  const channel = openAdsChannel(target);
  const answered = new Set<string>();
  let failures = 0;
  let session: Session | undefined;
  let pause: NodeJS.Timeout | undefined;
  const connect = () => {
    const onAnswer = () => {
      failures = 0;
      options.onConnected?.(true);
      log.info({ target }, "connected to the agent");
    };
    const onEnd = (error: Error | undefined) => {
      options.onConnected?.(false);
      if (signal.aborted) return;
      if (failures === 0) {
        const reason = error && errorText(error);
        log.warn({ target, error: reason }, "not connected to the agent; what was received stays in effect");
      }
      pause = setTimeout(connect, backoffMs(failures++));
    };
    session = openSession(channel, options, answered, onAnswer, onEnd);
  };
  const stop = () => {
    clearTimeout(pause);
    session?.close();
    channel.close();
  };
  signal.addEventListener("abort", stop, { once: true });
  connect();
}

interface Session {
  close(): void;
}

/** One stream, from its first request to its end. `answered` has the types of which ever a response came. */
function openSession(
  channel: AdsChannel,
  options: FollowAgentOptions,
  answered: Set<string>,
  onAnswer: () => void,
  onEnd: (error: Error | undefined) => void,
): Session {
  const { config, node, log, preparers = {}, fetchTimeoutMs = defaultFetchTimeoutMs } = options;
  const stream = channel.deltaAggregatedResources();
  const timers = new Set<NodeJS.Timeout>();
  const dueSubscriptions = createSubscriptions(answered);
  let isFirst = true;
  let isAnswered = false;
  let ended = false;

  const current = () => config.value ?? emptyConfig;
  const updates = createUpdates({ config, preparers, onTaken: () => subscribe(), log });
  const send = (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) => {
    stream.write(create(DeltaDiscoveryRequestSchema, { ...fields, ...(isFirst ? { node } : {}) }));
    isFirst = false;
  };
  const subscribe = () => {
    for (const request of dueSubscriptions(current())) {
      send(request);
      updates.drop(request.typeUrl, request.resourceNamesUnsubscribe);
      waitFor(request.typeUrl, request.resourceNamesSubscribe);
    }
  };
  const waitFor = (typeUrl: string, names: readonly string[]) => {
    if (names.length === 0 || !impatient.some((key) => referredTypes[key] === typeUrl)) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      const absent = names.filter((name) => isAbsent(current(), typeUrl, name));
      if (absent.length === 0) return;
      log.warn(
        { typeUrl, names: absent.slice(0, 10), count: absent.length },
        "not there in time; going on without",
      );
      config.set(applyResponse(current(), { typeUrl, changed: [], removed: absent }).config);
      subscribe();
    }, fetchTimeoutMs);
    timers.add(timer);
  };
  const onResponse = (response: DeltaDiscoveryResponse) => {
    if (!isAnswered) onAnswer();
    isAnswered = true;
    const { typeUrl, nonce: responseNonce } = response;
    answered.add(typeUrl);
    updates.take(updateOf(response), (errors) =>
      send({ typeUrl, responseNonce, errorDetail: refusalStatus(errors) }),
    );
  };
  const finish = (error?: Error) => {
    if (ended) return;
    stop();
    onEnd(error);
  };
  const stop = () => {
    ended = true;
    updates.close();
    for (const timer of timers) clearTimeout(timer);
  };
  stream.on("data", onResponse);
  stream.on("error", finish);
  stream.on("end", () => finish());
  subscribe();
  return {
    close() {
      stop();
      stream.cancel();
    },
  };
}

function isAbsent({ received }: GatewayConfig, typeUrl: string, name: string): boolean {
  const key = receivedKeys.get(typeUrl);
  return key !== undefined && !received[key].accepted.has(name) && !received[key].missing.has(name);
}

function updateOf({
  typeUrl,
  resources,
  removedResources,
  systemVersionInfo,
}: DeltaDiscoveryResponse): Update {
  const changed = resources.map(({ name, version, resource }) => ({
    name,
    version,
    typeUrl: resource?.typeUrl ?? "",
    value: resource?.value ?? new Uint8Array(),
  }));
  return { typeUrl, changed, removed: removedResources, version: systemVersionInfo };
}

interface Subscription {
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: string[];
  readonly resourceNamesUnsubscribe: string[];
  readonly initialResourceVersions: Record<string, string>;
}

/** In this order: what is referred to by one is asked for before the next. */
const steps = [
  { typeUrl: typeUrls.cluster },
  { key: "endpoints" },
  { key: "secrets" },
  { typeUrl: typeUrls.listener },
  { key: "extensionConfigs" },
  { key: "routes" },
] as const;

/** What one stream has asked for, and what it has to ask for next. */
function createSubscriptions(answered: ReadonlySet<string>) {
  const subscribed = new Map<string, ReadonlySet<string>>();
  const references = whenChanged(collectReferences);
  /** Listeners come once all clusters can be used: a first request must not find one without endpoints. */
  const isOpen = (typeUrl: string, config: GatewayConfig) =>
    typeUrl === typeUrls.cluster || (answered.has(typeUrls.cluster) && config.warmingClusters.size === 0);

  const wildcard = (typeUrl: string, config: GatewayConfig): Subscription[] => {
    if (subscribed.has(typeUrl) || !isOpen(typeUrl, config)) return [];
    subscribed.set(typeUrl, new Set(["*"]));
    const none = { resourceNamesSubscribe: [], resourceNamesUnsubscribe: [] };
    return [{ typeUrl, ...none, initialResourceVersions: versionsOf(config, typeUrl) }];
  };

  const byName = (key: ReferredKey, names: ReadonlySet<string>, config: GatewayConfig): Subscription[] => {
    const typeUrl = referredTypes[key];
    const before = subscribed.get(typeUrl);
    const added = [...names].filter((name) => !before?.has(name));
    const gone = [...(before ?? [])].filter((name) => !names.has(name));
    if (added.length + gone.length === 0) return [];
    subscribed.set(typeUrl, names);
    return [
      {
        typeUrl,
        resourceNamesSubscribe: added,
        resourceNamesUnsubscribe: gone,
        initialResourceVersions: before ? {} : versionsOf(config, typeUrl),
      },
    ];
  };

  return (config: GatewayConfig): Subscription[] => {
    const names = references(
      config.received.listeners.accepted,
      config.received.clusters.accepted,
      config.listeners,
    );
    return steps.flatMap((step) =>
      "key" in step ? byName(step.key, names[step.key], config) : wildcard(step.typeUrl, config),
    );
  };
}

function versionsOf({ received }: GatewayConfig, typeUrl: string): Record<string, string> {
  const key = receivedKeys.get(typeUrl);
  const accepted = key ? received[key].accepted : new Map<string, { version: string }>();
  return Object.fromEntries([...accepted].map(([name, { version }]) => [name, version]));
}
