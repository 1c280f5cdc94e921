import { toBinary } from "@bufbuild/protobuf";
import {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from "../gen/envoy/config/core/v3/extension_pb.ts";
import { encodeFilterChain } from "../xds/encode.ts";
import { stillOpen } from "../xds/refusal.ts";
import { rawResource, type XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { currentRouteConfig } from "./current-route.ts";
import { type ModuleResolver, mentions, type Resolution } from "./resolve-module.ts";
import { readFilterChain } from "./rewrite.ts";

/** A filter of the chains, whichever of them it is in. */
interface Member {
  /** As discovery sent it last. */
  config: TypedExtensionConfig;
  /** What became of that; undefined until it is known. */
  resolution: Resolution | undefined;
  /** What Envoy gets until then: what became of an earlier version. */
  readonly earlier: XdsResource | undefined;
  readonly fetching: AbortController;
}

/** A chain as discovery sent it last. */
interface Chain {
  readonly resource: XdsResource;
  readonly names: readonly string[];
  readonly onResolution: (resolution: Resolution) => void;
  /** Aborts when another version takes its place, or the stream ends. */
  readonly signal: AbortSignal;
}

/**
 * Resolves filter chains of plugins, each of which `plugins` resolves; what is no chain it resolves itself.
 *
 * The first form of a chain waits for all its plugins, as a new listener would. After that no plugin waits for another:
 * one that is being fetched keeps its earlier form, or is left out until it is there, and the chain is sent again then.
 * When Envoy refuses a chain, the plugins that it names (else all that it has not taken before) go back to what Envoy
 * took last of them, or to their substitutes, and the others stay as they are.
 */
export function createChainResolver(plugins: ModuleResolver): ModuleResolver {
  const members = new Map<string, Member>();
  const chains = new Map<string, Chain>();
  /** Chains of which this stream's Envoy was given a form. */
  const begun = new Set<string>();
  /** Of each chain the filters of the last form that Envoy took. */
  const lastAccepted = new Map<string, ReadonlySet<XdsResource>>();
  const scheduled = new Set<string>();
  /** What the chains that were sent are made of. */
  const partsOf = new WeakMap<XdsResource, readonly XdsResource[]>();

  /** Takes a filter as discovery sent it. One that is the same as before is not resolved again. */
  function admit(config: TypedExtensionConfig): void {
    const known = members.get(config.name);
    if (known && isSame(known.config, config)) {
      // The bytes that came now, so that the response that the others came in can go.
      known.config = config;
      if (known.resolution?.reasons.size === 0 || !known.fetching.signal.aborted) return;
    }
    known?.fetching.abort();
    const earlier = known?.resolution?.resource ?? known?.earlier;
    const member: Member = { config, resolution: undefined, earlier, fetching: new AbortController() };
    members.set(config.name, member);
    const bytes = toBinary(TypedExtensionConfigSchema, config);
    plugins.resolve(
      rawResource(config.name, typeUrls.extensionConfig, bytes),
      (resolution) => {
        member.resolution = resolution;
        scheduleChainsWith(config.name);
      },
      member.fetching.signal,
    );
  }

  function scheduleChainsWith(name: string): void {
    for (const [chain, { names }] of chains) if (names.includes(name)) schedule(chain);
  }

  /** What changes in one turn is one new form of a chain. */
  function schedule(name: string): void {
    if (scheduled.has(name)) return;
    scheduled.add(name);
    queueMicrotask(() => {
      scheduled.delete(name);
      const chain = chains.get(name);
      if (chain && !chain.signal.aborted) deliver(chain);
    });
  }

  function deliver(chain: Chain): void {
    const { name } = chain.resource;
    const isKnown = (member: string) => formOf(members.get(member)!) !== undefined;
    if (!begun.has(name) && !chain.names.every(isKnown)) return;
    begun.add(name);
    chain.onResolution(note(compose(chain)));
  }

  /** The chain of what there is of its plugins now. */
  function compose({ resource, names }: Chain): Composition {
    const reasons = new Map<string, string>();
    const parts: XdsResource[] = [];
    for (const name of names) {
      const member = members.get(name)!;
      const form = formOf(member);
      if (form) parts.push(form);
      if (!member.resolution) reasons.set(name, stillOpen);
      for (const [plugin, reason] of member.resolution?.reasons ?? []) reasons.set(plugin, reason);
    }
    const forms = parts.flatMap((part) =>
      plugins.readsRoute(part) ? [currentRouteConfig, part.value] : [part.value],
    );
    // Another version where it is not what discovery sent, so that it is asked for again after a reconnect.
    const version = reasons.size === 0 ? resource.version : `${resource.version}~partial`;
    return {
      resource: { ...resource, version, value: encodeFilterChain(resource.name, forms) },
      reasons,
      parts,
    };
  }

  function note({ resource, reasons, parts }: Composition): Resolution {
    partsOf.set(resource, parts);
    return { resource, reasons };
  }

  /** Puts one plugin back after Envoy refused its form. Returns whether there is something else for it now. */
  function putBack(part: XdsResource, error: string): boolean {
    const member = members.get(part.name);
    // It has changed, or is gone, since.
    if (!member || formOf(member) !== part) return true;
    const { resource, reasons } = plugins.refused(part, error);
    member.resolution = { resource: resource ?? part, reasons };
    scheduleChainsWith(part.name);
    return resource !== undefined;
  }

  /** Ends what nobody waits for any more, and forgets plugins that are in no chain. */
  function tidy(): void {
    const used = new Set<string>();
    const awaited = new Set<string>();
    for (const { names, signal, resource } of chains.values()) {
      // Another stream may be another Envoy, which has nothing yet.
      if (signal.aborted) begun.delete(resource.name);
      for (const name of names) {
        used.add(name);
        if (!signal.aborted) awaited.add(name);
      }
    }
    for (const [name, { fetching }] of members) {
      if (!awaited.has(name)) fetching.abort();
      if (used.has(name)) continue;
      members.delete(name);
      plugins.forget(name);
    }
  }

  return {
    resolve(resource, onResolution, signal) {
      const filters = readFilterChain(resource);
      if (!filters) return plugins.resolve(resource, onResolution, signal);
      chains.set(resource.name, { resource, names: filters.map(({ name }) => name), onResolution, signal });
      for (const filter of filters) admit(filter);
      schedule(resource.name);
      // A plugin may go from one chain to another within a response.
      queueMicrotask(tidy);
      signal.addEventListener("abort", () => queueMicrotask(tidy), { once: true });
    },
    accepted(resource) {
      const parts = partsOf.get(resource);
      if (!parts) return plugins.accepted(resource);
      for (const part of parts) if (members.has(part.name)) plugins.accepted(part);
      if (chains.has(resource.name)) lastAccepted.set(resource.name, new Set(parts));
    },
    refused(resource, error) {
      const parts = partsOf.get(resource);
      const chain = chains.get(resource.name);
      if (!parts || !chain) return plugins.refused(resource, error);
      const byName = parts.filter(({ name }) => mentions(error, name));
      // A module's file is several plugins' where they have the same code.
      const named = byName.length > 0 ? byName : parts.filter((part) => plugins.concerns(part, error));
      const accepted = lastAccepted.get(resource.name);
      const suspects = named.length > 0 ? named : parts.filter((part) => !accepted?.has(part));
      const isOther = suspects.map((part) => putBack(part, error)).some(Boolean);
      const next = compose(chain);
      if (isOther) return note(next);
      // Envoy stays with the chain that it has, so that nothing that changed since is in effect.
      const waiting = parts.filter((part) => !accepted?.has(part)).map(({ name }) => [name, error] as const);
      return { resource: undefined, reasons: new Map([...waiting, ...next.reasons]) };
    },
    concerns(resource, error) {
      const parts = partsOf.get(resource) ?? [];
      return plugins.concerns(resource, error) || parts.some((part) => plugins.concerns(part, error));
    },
    forget(name) {
      if (!chains.delete(name)) return plugins.forget(name);
      begun.delete(name);
      lastAccepted.delete(name);
      tidy();
    },
    readsRoute: plugins.readsRoute,
    plugins: plugins.plugins,
    digests(name) {
      const chain = chains.get(name);
      return chain
        ? new Map(chain.names.flatMap((member) => [...plugins.digests(member)]))
        : plugins.digests(name);
    },
    modulesInEffect: plugins.modulesInEffect,
  };
}

type Composition = Resolution & { readonly resource: XdsResource; readonly parts: readonly XdsResource[] };

/** What Envoy gets of a plugin, undefined while there is nothing. */
function formOf({ resolution, earlier }: Member): XdsResource | undefined {
  return resolution?.resource ?? earlier;
}

function isSame(a: TypedExtensionConfig, b: TypedExtensionConfig): boolean {
  const [one, other] = [a.typedConfig, b.typedConfig];
  if (!one || !other) return one === other;
  return one.typeUrl === other.typeUrl && Buffer.compare(one.value, other.value) === 0;
}
