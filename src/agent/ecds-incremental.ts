import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Resource,
  ResourceSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { type ModuleDigests, withModules } from "../xds/module-digests.ts";
import { isOpen, noReasons, type Reasons, readRefusal, refusalStatus, sameReasons } from "../xds/refusal.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { type PluginLog, pluginOfResource } from "./plugin-log.ts";
import type { ModuleResolver, Resolution } from "./resolve-module.ts";

/** Both directions of one Envoy's ECDS. */
export interface EcdsSession<Request, Response> {
  onRequest(request: Request): void;
  onResponse(response: Response): void;
}

export interface SessionOptions<Request, Response> {
  readonly resolver: ModuleResolver;
  /** Of the Envoy that the agent runs. */
  readonly pluginLog?: PluginLog;
  readonly sendUp: (request: Request) => void;
  readonly sendDown: (response: Response) => void;
  /** Aborts when the stream ends. */
  readonly signal: AbortSignal;
}

/** A response of discovery, of which Envoy gets the resources one by one. */
interface Upstream {
  readonly nonce: string;
  /** Resources that Envoy has not answered yet, or that are still being fetched. */
  readonly open: Set<string>;
  /** Of each resource the plugins that are not in effect, and why. */
  readonly reasons: Map<string, Reasons>;
}

/** The newest version of one resource. */
interface Newest {
  readonly name: string;
  readonly version: string;
  readonly upstream: Upstream;
  /** Aborts when another version takes its place, or nobody wants it any more. */
  readonly fetching: AbortController;
}

/** A plugin that has trapped since Envoy took a version of its resource. */
interface Trapped {
  readonly version: string;
  readonly plugin: string;
  readonly reason: string;
}

/** One resource that Envoy was sent and has not answered yet. */
interface Sent {
  readonly version: Newest;
  readonly resolution: Resolution & { readonly resource: XdsResource };
}

/**
 * ECDS in its incremental form. Each resource goes to Envoy in a response of its own, when its module is there: one slow
 * pull holds up no other plugin, and one refused configuration refuses no other. Discovery gets one answer for each of
 * its responses: an ACK when all is in effect, a NACK that names what is not, and an ACK of the same nonce when it is
 * after all.
 *
 * What Envoy refuses is followed by what it had before: Envoy would put a refused configuration into each listener that
 * it makes from then on, and refuse those listeners too.
 *
 * Of a resource that is gone, Envoy does not hear: it would drop the configuration at once, while an old listener that is
 * being drained runs with it. But what was good of it is forgotten, so that a later plugin of the same name starts anew.
 */
// Unlike Istio: it hands removals on.
export function createIncrementalSession({
  resolver,
  pluginLog,
  sendUp,
  sendDown,
  signal,
}: SessionOptions<DeltaDiscoveryRequest, DeltaDiscoveryResponse>): EcdsSession<
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse
> {
  const sentDown = new Map<string, Sent>();
  const newest = new Map<string, Newest>();
  /** The last response with each resource. */
  const lastSent = new Map<string, { readonly nonce: string; readonly resource: XdsResource }>();
  /** What follows when Envoy has answered the last response with a resource: of what comes meanwhile only the newest. */
  const waiting = new Map<string, Sent>();
  /** Versions that Envoy runs. */
  const accepted = new WeakSet<Newest>();
  /** By resource the plugin that has trapped since Envoy accepted that version, and why: it is not in effect any more. */
  const trapped = new Map<string, Trapped>();
  let counter = 0;
  pluginLog?.onTrap((plugin, { reason }) => onTrap(plugin, reason), signal);
  signal.addEventListener("abort", () => {
    for (const { fetching } of newest.values()) fetching.abort();
  });

  function send(sent: Sent): void {
    const { version, resolution } = sent;
    const { resource } = resolution;
    const nonce = `${version.upstream.nonce}/${++counter}`;
    lastSent.set(version.name, { nonce, resource });
    sentDown.set(nonce, sent);
    sendDown(
      create(DeltaDiscoveryResponseSchema, {
        typeUrl: typeUrls.extensionConfig,
        nonce,
        systemVersionInfo: resource.version,
        resources: [toResource(resource)],
      }),
    );
  }

  function sendResource(sent: Sent): void {
    const { name } = sent.version;
    const { resource, reasons } = sent.resolution;
    const last = lastSent.get(name)?.resource.value;
    // What is still being fetched changes nothing for Envoy yet: it is not worth an answer.
    if (isOpen(reasons) && last && Buffer.compare(last, resource.value) === 0) return;
    if (isUnanswered(name) || waiting.size > 0) waiting.set(name, sent);
    else send(sent);
  }

  function isUnanswered(name: string): boolean {
    return sentDown.has(lastSent.get(name)?.nonce ?? "");
  }

  /** Sends what waited, in its order: a plugin that goes from one chain to another is never in none. */
  function sendWaiting(): void {
    for (const [name, next] of waiting) {
      if (isUnanswered(name)) return;
      waiting.delete(name);
      send(next);
    }
  }

  /** Notes what became of one resource, and answers discovery when that settles its response or changes the answer. */
  function settle({ name, upstream, fetching }: Newest, reasons: Reasons): void {
    // What a newer version has overtaken was settled then.
    if (fetching.signal.aborted) return;
    const first = upstream.open.delete(name);
    const before = upstream.reasons.get(name) ?? noReasons;
    upstream.reasons.set(name, reasons);
    if (upstream.open.size === 0 && (first || !sameReasons(before, reasons))) answerDiscovery(upstream);
  }

  function answerDiscovery({ nonce, reasons }: Upstream): void {
    const all = new Map([...reasons.values()].flatMap((some) => [...some]));
    const answer = create(DeltaDiscoveryRequestSchema, {
      typeUrl: typeUrls.extensionConfig,
      responseNonce: nonce,
      errorDetail: refusalStatus(all),
    });
    sendUp(withModules(answer, modulesIn(reasons.keys())));
  }

  function modulesIn(names: Iterable<string>): ModuleDigests {
    return new Map([...names].flatMap((name) => [...resolver.digests(name)]));
  }

  /** Ends what is done for a resource: what is overtaken, or not asked for, is nobody's concern. */
  function drop(name: string): void {
    const version = newest.get(name);
    if (!version) return;
    settle(version, noReasons);
    version.fetching.abort();
    newest.delete(name);
    waiting.delete(name);
  }

  function forget(name: string): void {
    drop(name);
    lastSent.delete(name);
    trapped.delete(name);
    resolver.forget(name);
  }

  function begin(upstream: Upstream, { name, version }: Resource): Newest {
    drop(name);
    if (trapped.get(name)?.version !== version) trapped.delete(name);
    const begun = { name, version, upstream, fetching: new AbortController() };
    newest.set(name, begun);
    return begun;
  }

  function fetchAndSend(upstream: Upstream, resource: Resource): void {
    const version = begin(upstream, resource);
    resolver.resolve(
      toXdsResource(resource),
      (resolution) => onResolution(version, resolution),
      version.fetching.signal,
    );
  }

  function onResolution(version: Newest, { resource, reasons }: Resolution): void {
    if (resource) sendResource({ version, resolution: { resource, reasons } });
    else settle(version, reasons);
  }

  function onAcceptance({ version, resolution: { resource, reasons } }: Sent): void {
    resolver.accepted(resource);
    accepted.add(version);
    const trap = trapped.get(version.name);
    // What waits will say more, when Envoy has answered that.
    if (waiting.has(version.name)) return;
    settle(version, trap ? new Map([[trap.plugin, trap.reason], ...reasons]) : reasons);
  }

  /**
   * Discovery has had its answer when a plugin traps: asked for its resource once more, it sends a response that can be
   * refused. Envoy does nothing with a configuration that it has.
   */
  function onTrap(plugin: string, reason: string): void {
    for (const version of newest.values()) {
      const { name } = version;
      const sent = lastSent.get(name);
      const isOwn = pluginOfResource(name) === plugin;
      if (!sent || !(isOwn || resolver.concerns(sent.resource, plugin))) continue;
      if (!accepted.has(version) || trapped.has(name)) continue;
      trapped.set(name, { version: version.version, plugin: isOwn ? name : plugin, reason });
      const { extensionConfig: typeUrl } = typeUrls;
      sendUp(create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: [name] }));
    }
  }

  function onRefusal(nonce: string, { version, resolution: { resource } }: Sent, refusal: string): void {
    if (lastSent.get(version.name)?.nonce !== nonce || waiting.has(version.name)) return;
    const next = resolver.refused(resource, refusal);
    // Of a chain only the next answer says whether its other plugins are in effect.
    if (next.reasons.has(version.name)) settle(version, next.reasons);
    onResolution(version, next);
  }

  return {
    onResponse({ nonce, resources, removedResources }) {
      const upstream = { nonce, open: new Set(resources.map(({ name }) => name)), reasons: new Map() };
      for (const name of removedResources) forget(name);
      if (upstream.open.size === 0) return answerDiscovery(upstream);
      for (const resource of resources) fetchAndSend(upstream, resource);
    },

    onRequest(request) {
      const { responseNonce: nonce, resourceNamesSubscribe, resourceNamesUnsubscribe, errorDetail } = request;
      for (const name of resourceNamesUnsubscribe) forget(name);
      const sent = sentDown.get(nonce);
      // With what a gateway brings along when it connects again goes what is known of it.
      if (!sent) return sendUp(withModules(request, modulesIn(Object.keys(request.initialResourceVersions))));
      sentDown.delete(nonce);
      const refusal = readRefusal(errorDetail);
      // The embedded gateway says of each resource why, an Envoy of all in one.
      if (refusal) onRefusal(nonce, sent, refusal.reasons?.get(sent.version.name) ?? refusal.message);
      else onAcceptance(sent);
      sendWaiting();
      if (resourceNamesSubscribe.length > 0 || resourceNamesUnsubscribe.length > 0) {
        sendUp({ ...request, responseNonce: "", errorDetail: undefined });
      }
    },
  };
}

function toXdsResource({ name, version, resource }: Resource): XdsResource {
  return { name, version, typeUrl: resource?.typeUrl ?? "", value: resource?.value ?? new Uint8Array() };
}

function toResource({ name, version, typeUrl, value }: XdsResource): Resource {
  return create(ResourceSchema, { name, version, resource: create(AnySchema, { typeUrl, value }) });
}
