import { create } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type DiscoveryRequest,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { withModules } from "../xds/module-digests.ts";
import { isOpen, type Reasons, readRefusal, refusalStatus } from "../xds/refusal.ts";
import { rawResource, type XdsResource } from "../xds/snapshot.ts";
import type { EcdsSession, SessionOptions } from "./ecds-incremental.ts";
import type { Resolution } from "./resolve-module.ts";
import { extensionConfigNameOf } from "./rewrite.ts";

/** One response of discovery, and what became of its resources so far. */
interface World {
  readonly response: DiscoveryResponse;
  /** What Envoy gets for each name. */
  readonly resolved: Map<string, XdsResource>;
  /** Of each resource the plugins that are not what discovery sent, and why. */
  readonly reasons: Map<string, Reasons>;
  /** Resources that are being fetched for the first time. */
  readonly open: Set<string>;
  /** Ends the fetching of each resource. */
  readonly fetching: Map<string, AbortController>;
}

/** A response that Envoy was sent and has not answered yet. */
interface Sent {
  readonly world: World;
  readonly nonce: string;
  readonly resources: readonly XdsResource[];
  readonly reasons: Reasons;
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
  let isWaiting = false;
  let lastSent: readonly XdsResource[] = [];
  signal.addEventListener("abort", () => newest && abortAll(newest));

  /** Sends what there is, or does so when Envoy has answered the last response: of what comes meanwhile only the newest. */
  function sendWorld(world: World): void {
    const resources = [...world.resolved.values()];
    const reasons = allReasons(world);
    // What is still being fetched changes nothing for Envoy yet: it is not worth an answer.
    if (isOpen(reasons) && sameValues(resources, lastSent)) return;
    if (sentDown.has(newestNonce)) {
      isWaiting = true;
      return;
    }
    const { response } = world;
    newestNonce = `${response.nonce}/${++counter}`;
    lastSent = resources;
    sentDown.set(newestNonce, { world, nonce: newestNonce, resources, reasons });
    const anys = resources.map(({ typeUrl, value }) => create(AnySchema, { typeUrl, value }));
    sendDown(create(DiscoveryResponseSchema, { ...response, resources: anys, nonce: newestNonce }));
  }

  /** Sends what waited for Envoy's answer. Returns whether there was anything. */
  function sendWaiting(): boolean {
    const isDue = isWaiting && newest !== undefined && newest.open.size === 0;
    isWaiting = false;
    if (isDue) sendWorld(newest!);
    return isDue;
  }

  function onResolution(world: World, name: string, { resource, reasons }: Resolution): void {
    world.open.delete(name);
    if (resource) world.resolved.set(name, resource);
    world.reasons.set(name, reasons);
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
    const { fetching, reasons, resolved, open } = world;
    fetching.get(name)?.abort();
    reasons.delete(name);
    resolved.delete(name);
    const wasWaitedFor = open.delete(name) && open.size === 0;
    if (wasWaitedFor && resolved.size > 0) sendWorld(world);
  }

  function onRefusal({ reasons, resolved }: World, name: string, next: Resolution): void {
    reasons.set(name, next.reasons);
    if (next.resource) resolved.set(name, next.resource);
  }

  /** Takes note of Envoy's answer. Returns why not all is in effect, undefined where that is not known yet. */
  function onAnswer({ world, nonce, resources, reasons }: Sent, refusal: string | undefined) {
    if (refusal === undefined) for (const resource of resources) resolver.accepted(resource);
    const isLast = nonce === newestNonce;
    // What waited will say more, when Envoy has answered that.
    if (sendWaiting() && newest === world) return undefined;
    if (refusal === undefined) return reasons;
    if (!isLast || nonce !== newestNonce) return new Map(resources.map(({ name }) => [name, refusal]));
    const named = resources.filter((resource) => resolver.concerns(resource, refusal));
    const suspects = named.length > 0 ? named : resources;
    const next = suspects.map((resource) => resolver.refused(resource, refusal));
    for (const [index, { name }] of suspects.entries()) onRefusal(world, name, next[index]!);
    const isOther = next.some(({ resource }) => resource !== undefined);
    if (isOther) sendWorld(world);
    // Of a chain only the next answer says whether its other plugins are in effect.
    const isKnown = suspects.every(({ name }, index) => next[index]!.reasons.has(name));
    return isKnown || !isOther ? allReasons(world) : undefined;
  }

  function answerDiscovery(request: DiscoveryRequest, nonce: string, reasons: Reasons): void {
    const errorDetail = refusalStatus(reasons);
    const answer = JSON.stringify([nonce, errorDetail?.message, request.resourceNames]);
    // What stands in for refused resources is accepted: discovery has had its answer.
    if (answer === lastAnswer) return;
    lastAnswer = answer;
    if (!errorDetail) acceptedVersion = request.versionInfo;
    const modules = new Map(request.resourceNames.flatMap((name) => [...resolver.digests(name)]));
    sendUp(
      withModules({ ...request, responseNonce: nonce, versionInfo: acceptedVersion, errorDetail }, modules),
    );
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
      const reasons = onAnswer(sent, readRefusal(request.errorDetail)?.message);
      if (reasons) answerDiscovery(request, sent.world.response.nonce, reasons);
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
    reasons: new Map(),
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

function allReasons({ reasons }: World): Reasons {
  return new Map([...reasons.values()].flatMap((some) => [...some]));
}

function sameValues(a: readonly XdsResource[], b: readonly XdsResource[]): boolean {
  return a.length === b.length && a.every(({ value }, index) => Buffer.compare(value, b[index]!.value) === 0);
}
