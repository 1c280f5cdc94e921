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
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
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
  /** Resources that are not in effect, and why. */
  readonly errors: Map<string, string>;
}

/** The newest version of one resource. */
interface Newest {
  readonly name: string;
  readonly version: string;
  readonly upstream: Upstream;
  /** Aborts when another version takes its place, or nobody wants it any more. */
  readonly fetching: AbortController;
}

/** One resource that Envoy was sent and has not answered yet. */
interface Sent {
  readonly version: Newest;
  readonly resource: XdsResource;
  /** Why that is not what discovery sent, "" where it is. */
  readonly error: string;
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
  /** The nonce of the last response with each resource. */
  const lastSent = new Map<string, string>();
  /** Versions that Envoy runs. */
  const accepted = new WeakSet<Newest>();
  /** By name the version that has trapped since Envoy accepted it, and why: it is not in effect any more. */
  const trapped = new Map<string, { readonly version: string; readonly reason: string }>();
  let counter = 0;
  pluginLog?.onTrap((plugin, { reason }) => onTrap(plugin, reason), signal);
  signal.addEventListener("abort", () => {
    for (const { fetching } of newest.values()) fetching.abort();
  });

  function sendResource(version: Newest, resource: XdsResource, error: string): void {
    const nonce = `${version.upstream.nonce}/${++counter}`;
    lastSent.set(version.name, nonce);
    sentDown.set(nonce, { version, resource, error });
    sendDown(
      create(DeltaDiscoveryResponseSchema, {
        typeUrl: typeUrls.extensionConfig,
        nonce,
        systemVersionInfo: resource.version,
        resources: [toResource(resource)],
      }),
    );
  }

  /** Notes what became of one resource, and answers discovery when that settles its response or changes the answer. */
  function settle({ name, upstream, fetching }: Newest, error: string): void {
    // What a newer version has overtaken was settled then.
    if (fetching.signal.aborted) return;
    const first = upstream.open.delete(name);
    const before = upstream.errors.get(name) ?? "";
    if (error) upstream.errors.set(name, error);
    else upstream.errors.delete(name);
    if (upstream.open.size === 0 && (first || before !== error)) answerDiscovery(upstream);
  }

  function answerDiscovery({ nonce, errors }: Upstream): void {
    const message = [...errors].map(([name, error]) => `${name}: ${error}`).join("; ");
    sendUp(
      create(DeltaDiscoveryRequestSchema, {
        typeUrl: typeUrls.extensionConfig,
        responseNonce: nonce,
        errorDetail: message ? create(StatusSchema, { code: 13, message }) : undefined,
      }),
    );
  }

  /** Ends what is done for a resource: what is overtaken, or not asked for, is nobody's concern. */
  function drop(name: string): void {
    const version = newest.get(name);
    if (!version) return;
    settle(version, "");
    version.fetching.abort();
    newest.delete(name);
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
    const onResolution = ({ resource: resolved, error }: Resolution) => {
      if (resolved) sendResource(version, resolved, error);
      else settle(version, error);
    };
    resolver.resolve(toXdsResource(resource), onResolution, version.fetching.signal);
  }

  function onAcceptance({ version, resource, error }: Sent): void {
    if (!error) resolver.accepted(resource);
    if (!error) accepted.add(version);
    settle(version, error || (trapped.get(version.name)?.reason ?? ""));
  }

  /**
   * Discovery has had its answer when a plugin traps: asked for the plugin once more, it sends a response that can be
   * refused. Envoy does nothing with a configuration that it has.
   */
  function onTrap(plugin: string, reason: string): void {
    const version = [...newest.values()].find(({ name }) => pluginOfResource(name) === plugin);
    if (!version || !accepted.has(version) || trapped.has(version.name)) return;
    trapped.set(version.name, { version: version.version, reason });
    const { extensionConfig: typeUrl } = typeUrls;
    sendUp(create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: [version.name] }));
  }

  function onRefusal(nonce: string, { version, resource, error }: Sent, refusal: string): void {
    settle(version, refusal);
    // What stands in for something has nothing to stand in for it.
    if (error || lastSent.get(version.name) !== nonce) return;
    const before = resolver.refused(resource, refusal);
    if (before) sendResource(version, before, refusal);
  }

  return {
    onResponse({ nonce, resources, removedResources }) {
      const upstream = { nonce, open: new Set(resources.map(({ name }) => name)), errors: new Map() };
      for (const name of removedResources) forget(name);
      if (upstream.open.size === 0) return answerDiscovery(upstream);
      for (const resource of resources) fetchAndSend(upstream, resource);
    },

    onRequest(request) {
      const { responseNonce: nonce, resourceNamesSubscribe, resourceNamesUnsubscribe, errorDetail } = request;
      for (const name of resourceNamesUnsubscribe) forget(name);
      const sent = sentDown.get(nonce);
      if (!sent) return sendUp(request);
      sentDown.delete(nonce);
      if (errorDetail) onRefusal(nonce, sent, errorDetail.message || "refused without a reason");
      else onAcceptance(sent);
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
