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
import { isOpen, noReasons, type Reasons, readRefusal, refusalStatus, sameReasons } from "../xds/refusal.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import type { ModuleResolver, Resolution } from "./resolve-module.ts";

/** Both directions of one Envoy's ECDS. */
export interface EcdsSession<Request, Response> {
  onRequest(request: Request): void;
  onResponse(response: Response): void;
}

export interface SessionOptions<Request, Response> {
  readonly resolver: ModuleResolver;
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
  readonly upstream: Upstream;
  /** Aborts when another version takes its place, or nobody wants it any more. */
  readonly fetching: AbortController;
}

/** One resource that Envoy was sent and has not answered yet. */
interface Sent {
  readonly version: Newest;
  /** What it was sent; without a resource for a removal. */
  readonly resolution: Resolution;
}

/** Stands for the removals of a response, which Envoy gets in one. */
const removals = "(removed)";

/**
 * ECDS in its incremental form. Each resource goes to Envoy in a response of its own, when its module is there: one slow
 * pull holds up no other plugin, and one refused configuration refuses no other. Discovery gets one answer for each of
 * its responses: an ACK when all is in effect, a NACK that names what is not, and an ACK of the same nonce when it is
 * after all.
 *
 * What Envoy refuses is followed by what it had before: Envoy would put a refused configuration into each listener that
 * it makes from then on, and refuse those listeners too.
 */
export function createIncrementalSession({
  resolver,
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
  const lastSent = new Map<string, { readonly nonce: string; readonly value: Uint8Array | undefined }>();
  /** What follows when Envoy has answered the last response with a resource: of what comes meanwhile only the newest. */
  const waiting = new Map<string, Sent>();
  let counter = 0;
  signal.addEventListener("abort", () => {
    for (const { fetching } of newest.values()) fetching.abort();
  });

  function send(
    sent: Sent,
    systemVersionInfo: string,
    resources: Resource[],
    removedResources: string[] = [],
  ): void {
    const nonce = `${sent.version.upstream.nonce}/${++counter}`;
    lastSent.set(sent.version.name, { nonce, value: sent.resolution.resource?.value });
    sentDown.set(nonce, sent);
    const { extensionConfig: typeUrl } = typeUrls;
    sendDown(
      create(DeltaDiscoveryResponseSchema, {
        typeUrl,
        nonce,
        systemVersionInfo,
        resources,
        removedResources,
      }),
    );
  }

  function sendResource(version: Newest, resolution: Resolution & { resource: XdsResource }): void {
    const { name } = version;
    const { resource, reasons } = resolution;
    const last = lastSent.get(name)?.value;
    // What is still being fetched changes nothing for Envoy yet: it is not worth an answer.
    if (isOpen(reasons) && last && Buffer.compare(last, resource.value) === 0) return;
    if (isUnanswered(name) || waiting.size > 0) waiting.set(name, { version, resolution });
    else send({ version, resolution }, resource.version, [toResource(resource)]);
  }

  function isUnanswered(name: string): boolean {
    return sentDown.has(lastSent.get(name)?.nonce ?? "");
  }

  /** Sends what waited, in its order: a plugin that goes from one chain to another is never in none. */
  function sendWaiting(): void {
    for (const [name, next] of waiting) {
      const { resource } = next.resolution;
      if (isUnanswered(name)) return;
      waiting.delete(name);
      if (resource) send(next, resource.version, [toResource(resource)]);
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
    sendUp(
      create(DeltaDiscoveryRequestSchema, {
        typeUrl: typeUrls.extensionConfig,
        responseNonce: nonce,
        errorDetail: refusalStatus(all),
      }),
    );
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
    resolver.forget(name);
  }

  function begin(upstream: Upstream, name: string): Newest {
    drop(name);
    const version = { name, upstream, fetching: new AbortController() };
    newest.set(name, version);
    return version;
  }

  function fetchAndSend(upstream: Upstream, resource: Resource): void {
    const version = begin(upstream, resource.name);
    resolver.resolve(
      toXdsResource(resource),
      (resolution) => onResolution(version, resolution),
      version.fetching.signal,
    );
  }

  function onResolution(version: Newest, { resource, reasons }: Resolution): void {
    if (resource) sendResource(version, { resource, reasons });
    else settle(version, reasons);
  }

  function onAcceptance({ version, resolution }: Sent): void {
    if (resolution.resource) resolver.accepted(resolution.resource);
    // What waits will say more, when Envoy has answered that.
    if (!waiting.has(version.name)) settle(version, resolution.reasons);
  }

  function onRefusal(nonce: string, { version, resolution: { resource } }: Sent, refusal: string): void {
    if (!resource) {
      settle(version, new Map([[version.name, refusal]]));
      return;
    }
    if (lastSent.get(version.name)?.nonce !== nonce || waiting.has(version.name)) return;
    const next = resolver.refused(resource, refusal);
    // Of a chain only the next answer says whether its other plugins are in effect.
    if (next.reasons.has(version.name)) settle(version, next.reasons);
    onResolution(version, next);
  }

  return {
    onResponse({ nonce, resources, removedResources, systemVersionInfo }) {
      const names = resources.map(({ name }) => name);
      const upstream: Upstream = { nonce, open: new Set(names), reasons: new Map() };
      if (removedResources.length > 0) upstream.open.add(removals);
      if (upstream.open.size === 0) return answerDiscovery(upstream);
      for (const name of removedResources) forget(name);
      if (removedResources.length > 0) {
        const resolution = { resource: undefined, reasons: noReasons };
        send({ version: begin(upstream, removals), resolution }, systemVersionInfo, [], removedResources);
      }
      for (const resource of resources) fetchAndSend(upstream, resource);
    },

    onRequest(request) {
      const { responseNonce: nonce, resourceNamesSubscribe, resourceNamesUnsubscribe, errorDetail } = request;
      for (const name of resourceNamesUnsubscribe) forget(name);
      const sent = sentDown.get(nonce);
      if (!sent) return sendUp(request);
      sentDown.delete(nonce);
      const refusal = readRefusal(errorDetail);
      if (refusal) onRefusal(nonce, sent, refusal.message);
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
