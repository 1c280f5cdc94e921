import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type DiscoveryRequest,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { rawResource, type XdsResource } from "../xds/snapshot.ts";
import type { EcdsSession, SessionOptions } from "./ecds-incremental.ts";
import { extensionConfigNameOf } from "./rewrite.ts";

/** One response of discovery while its modules are being fetched. */
interface World {
  readonly response: DiscoveryResponse;
  readonly resolved: Map<string, XdsResource>;
  readonly errors: Map<string, string>;
  readonly open: Set<string>;
}

/**
 * ECDS as the state of the world: Envoy refuses a response in which a watched resource is missing, so that a response
 * waits for all its modules (a failed one has its substitute at once), and is sent again when one came after all. A newer
 * response takes the place of an older one; what was overtaken is never sent.
 */
export function createStateOfTheWorldSession({ resolver, sendUp, sendDown, signal }: SessionOptions<DiscoveryRequest, DiscoveryResponse>): EcdsSession<DiscoveryRequest, DiscoveryResponse> {
  const nonces = new Map<string, { upstream: string; errors: string }>();
  let fetching = new AbortController();
  let accepted = "";
  let counter = 0;
  signal.addEventListener("abort", () => fetching.abort());

  function sendWorld({ response, resolved, errors }: World): void {
    const nonce = `${response.nonce}/${++counter}`;
    nonces.set(nonce, { upstream: response.nonce, errors: [...errors].map(([name, error]) => `${name}: ${error}`).join("; ") });
    const resources = [...resolved.values()].map(({ typeUrl, value }) => create(AnySchema, { typeUrl, value }));
    sendDown(create(DiscoveryResponseSchema, { ...response, resources, nonce }));
  }

  return {
    onResponse(response) {
      fetching.abort();
      fetching = new AbortController();
      const resources = response.resources.map(({ typeUrl, value }) => rawResource(extensionConfigNameOf(value), typeUrl, value));
      const world: World = { response, resolved: new Map(), errors: new Map(), open: new Set(resources.map(({ name }) => name)) };
      if (resources.length === 0) return sendWorld(world);
      for (const resource of resources) world.resolved.set(resource.name, resource);
      for (const resource of resources) {
        resolver.resolve(
          resource,
          ({ resource: resolved, error }) => {
            world.open.delete(resource.name);
            if (resolved) world.resolved.set(resource.name, resolved);
            if (error) world.errors.set(resource.name, error);
            else world.errors.delete(resource.name);
            if (world.open.size === 0) sendWorld(world);
          },
          fetching.signal,
        );
      }
    },

    onRequest(request) {
      const sent = nonces.get(request.responseNonce);
      if (!sent) return sendUp(request);
      nonces.delete(request.responseNonce);
      const error = request.errorDetail?.message || sent.errors;
      if (!error) accepted = request.versionInfo;
      sendUp({
        ...request,
        responseNonce: sent.upstream,
        versionInfo: error ? accepted : request.versionInfo,
        errorDetail: error ? create(StatusSchema, { code: 13, message: error }) : undefined,
      });
    },
  };
}
