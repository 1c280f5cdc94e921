import { create } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Resource,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
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
  /** Resources that are not in effect, and why. */
  readonly errors: Map<string, string>;
}

/**
 * ECDS in its incremental form. Each resource goes to Envoy in a response of its own, when its module is there: one slow
 * pull holds up no other plugin, and one refused configuration refuses no other. Discovery gets one answer for each of
 * its responses: an ACK when all is in effect, a NACK that names what is not, and an ACK of the same nonce when it is
 * after all.
 */
export function createIncrementalSession({ resolver, sendUp, sendDown, signal }: SessionOptions<DeltaDiscoveryRequest, DeltaDiscoveryResponse>): EcdsSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  const sentDown = new Map<string, { name: string; upstream: Upstream; error: string }>();
  const newest = new Map<string, AbortController>();
  signal.addEventListener("abort", () => {
    for (const fetching of newest.values()) fetching.abort();
  });
  let counter = 0;

  function respond(upstream: Upstream, name: string, resources: Resource[], removedResources: string[], version: string, error: string) {
    const nonce = `${upstream.nonce}/${++counter}`;
    sentDown.set(nonce, { name, upstream, error });
    sendDown(
      create(DeltaDiscoveryResponseSchema, {
        typeUrl: typeUrls.extensionConfig,
        systemVersionInfo: version,
        resources,
        removedResources,
        nonce,
      }),
    );
  }

  /** Notes what became of one resource, and answers discovery when that settles its response or changes the answer. */
  function settle(upstream: Upstream, name: string, error: string): void {
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

  function fetchAndSend(upstream: Upstream, resource: Resource): void {
    const { name } = resource;
    newest.get(name)?.abort();
    const fetching = new AbortController();
    newest.set(name, fetching);
    // What a newer version overtakes is nobody's concern any more.
    fetching.signal.addEventListener("abort", () => signal.aborted || settle(upstream, name, ""), { once: true });
    const onResolution = ({ resource: resolved, error }: Resolution) => {
      if (!resolved) return settle(upstream, name, error);
      const { version, typeUrl, value } = resolved;
      const rewritten = { ...resource, version, resource: { ...resource.resource!, typeUrl, value } };
      respond(upstream, name, [rewritten], [], version, error);
    };
    resolver.resolve(toXdsResource(resource), onResolution, fetching.signal);
  }

  return {
    onResponse(response) {
      const { nonce, resources, removedResources } = response;
      const removal = removedResources.length > 0 ? ["(removed)"] : [];
      const upstream: Upstream = { nonce, open: new Set([...resources.map(({ name }) => name), ...removal]), errors: new Map() };
      if (upstream.open.size === 0) return answerDiscovery(upstream);
      if (removal.length > 0) respond(upstream, "(removed)", [], removedResources, response.systemVersionInfo, "");
      for (const resource of resources) fetchAndSend(upstream, resource);
    },

    onRequest(request) {
      const part = sentDown.get(request.responseNonce);
      if (!part) return sendUp(request);
      sentDown.delete(request.responseNonce);
      settle(part.upstream, part.name, request.errorDetail?.message || part.error);
      if (request.resourceNamesSubscribe.length > 0 || request.resourceNamesUnsubscribe.length > 0) {
        sendUp({ ...request, responseNonce: "", errorDetail: undefined });
      }
    },
  };
}

function toXdsResource({ name, version, resource }: Resource): XdsResource {
  return { name, version, typeUrl: resource?.typeUrl ?? "", value: resource?.value ?? new Uint8Array() };
}
