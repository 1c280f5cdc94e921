import { create } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type DiscoveryRequest,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { rawResource, type XdsResource } from "../xds/snapshot.ts";
import type { EcdsSession, SessionOptions } from "./ecds-incremental.ts";
import type { Resolution } from "./resolve-module.ts";
import { extensionConfigNameOf } from "./rewrite.ts";

/** One response of discovery, and what became of its resources so far. */
interface World {
  readonly response: DiscoveryResponse;
  /** What Envoy gets for each name. */
  readonly resolved: Map<string, XdsResource>;
  /** Resources that are not what discovery sent, and why. */
  readonly errors: Map<string, string>;
  /** Resources that are being fetched for the first time. */
  readonly open: Set<string>;
  /** Ends the fetching of each resource. */
  readonly fetching: Map<string, AbortController>;
}

/** A response that Envoy was sent and has not answered yet. */
interface Sent {
  readonly world: World;
  readonly nonce: string;
  /** What is in it as discovery sent it, but with its module. */
  readonly own: readonly XdsResource[];
  readonly error: string;
}

/**
 * ECDS as the state of the world: Envoy refuses a response in which a watched resource is missing, so that a response
 * waits for all its modules (a failed one has its substitute at once), and is sent again when one came after all. A newer
 * response takes the place of an older one; what was overtaken is never sent.
 *
 * What Envoy refuses is followed by a response with what it had before in the place of the resources that its error
 * names, or of all where it names none.
 */
export function createStateOfTheWorldSession({
  resolver,
  sendUp,
  sendDown,
  signal,
}: SessionOptions<DiscoveryRequest, DiscoveryResponse>): EcdsSession<DiscoveryRequest, DiscoveryResponse> {
  const sentDown = new Map<string, Sent>();
  let newest: World | undefined;
  let newestNonce = "";
  let names: readonly string[] = [];
  let lastAnswer = "";
  let acceptedVersion = "";
  let counter = 0;
  signal.addEventListener("abort", () => newest && abortAll(newest));

  function sendWorld(world: World): void {
    const { response, resolved, errors } = world;
    newestNonce = `${response.nonce}/${++counter}`;
    const own = [...resolved.values()].filter(({ name }) => !errors.has(name));
    sentDown.set(newestNonce, { world, nonce: newestNonce, own, error: describeErrors(errors) });
    const resources = [...resolved.values()].map(({ typeUrl, value }) =>
      create(AnySchema, { typeUrl, value }),
    );
    sendDown(create(DiscoveryResponseSchema, { ...response, resources, nonce: newestNonce }));
  }

  function onResolution(world: World, name: string, { resource, error }: Resolution): void {
    world.open.delete(name);
    if (resource) world.resolved.set(name, resource);
    if (error) world.errors.set(name, error);
    else world.errors.delete(name);
    if (world.open.size === 0) sendWorld(world);
  }

  /** Ends what is done for resources that Envoy does not ask for any more. */
  function forgetOthers(wanted: readonly string[]): void {
    const dropped = names.filter((name) => !wanted.includes(name));
    names = wanted;
    for (const name of dropped) {
      if (newest) dropFrom(newest, name);
      resolver.forget(name);
    }
  }

  function dropFrom(world: World, name: string): void {
    const { fetching, errors, resolved, open } = world;
    fetching.get(name)?.abort();
    errors.delete(name);
    resolved.delete(name);
    const wasWaitedFor = open.delete(name) && open.size === 0;
    if (wasWaitedFor && resolved.size > 0) sendWorld(world);
  }

  /** Takes note of Envoy's answer. Returns why not all is in effect, "" where it is. */
  function onAnswer({ world, nonce, own, error }: Sent, refusal: string | undefined): string {
    if (refusal === undefined) {
      for (const resource of own) resolver.accepted(resource);
      return error;
    }
    if (nonce !== newestNonce) return refusal;
    const named = own.filter(({ name }) => refusal.includes(name));
    const refused = named.length > 0 ? named : own;
    for (const resource of refused) {
      const before = resolver.refused(resource, refusal);
      if (before) world.resolved.set(resource.name, before);
      world.errors.set(resource.name, refusal);
    }
    if (refused.length > 0) sendWorld(world);
    return describeErrors(world.errors) || refusal;
  }

  function answerDiscovery(request: DiscoveryRequest, nonce: string, error: string): void {
    const answer = JSON.stringify([nonce, error, request.resourceNames]);
    // What stands in for refused resources is accepted: discovery has had its answer.
    if (answer === lastAnswer) return;
    lastAnswer = answer;
    if (!error) acceptedVersion = request.versionInfo;
    const errorDetail = error ? create(StatusSchema, { code: 13, message: error }) : undefined;
    sendUp({ ...request, responseNonce: nonce, versionInfo: acceptedVersion, errorDetail });
  }

  return {
    onResponse(response) {
      if (newest) abortAll(newest);
      const world = createWorld(response);
      newest = world;
      if (world.resolved.size === 0) return sendWorld(world);
      for (const resource of [...world.resolved.values()]) {
        const fetching = new AbortController();
        world.fetching.set(resource.name, fetching);
        resolver.resolve(
          resource,
          (resolution) => onResolution(world, resource.name, resolution),
          fetching.signal,
        );
      }
    },

    onRequest(request) {
      forgetOthers(request.resourceNames);
      const sent = sentDown.get(request.responseNonce);
      if (!sent) return sendUp(request);
      sentDown.delete(request.responseNonce);
      const { errorDetail } = request;
      const error = onAnswer(sent, errorDetail && (errorDetail.message || "refused without a reason"));
      answerDiscovery(request, sent.world.response.nonce, error);
    },
  };
}

function createWorld(response: DiscoveryResponse): World {
  const resources = response.resources.map((any, index) =>
    rawResource(nameOf(any, index), any.typeUrl, any.value),
  );
  return {
    response,
    resolved: new Map(resources.map((resource) => [resource.name, resource])),
    errors: new Map(),
    open: new Set(resources.map(({ name }) => name)),
    fetching: new Map(),
  };
}

/** What cannot be read here, Envoy refuses itself, and says why. */
function nameOf({ value }: Any, index: number): string {
  try {
    return extensionConfigNameOf(value);
  } catch {
    return `(resource ${index})`;
  }
}

function abortAll({ fetching }: World): void {
  for (const one of fetching.values()) one.abort();
}

function describeErrors(errors: ReadonlyMap<string, string>): string {
  return [...errors].map(([name, error]) => `${name}: ${error}`).join("; ");
}
