import { basename } from "node:path";
import { getOrCreate } from "../get-or-create.ts";
import type { Log } from "../log.ts";
import { SystemError } from "../system-error.ts";
import { getsHeldBodies, propertyNames } from "../wasm/adapt-module.ts";
import type { ModuleDigests } from "../xds/module-digests.ts";
import { noReasons, type Reasons } from "../xds/refusal.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import { type ModuleNotes, notesOf } from "./module-index.ts";
import type { ModuleRequest } from "./module-request.ts";
import {
  isSubstitute,
  readWasmResource,
  substituteFor,
  type WasmResource,
  withLocalModule,
} from "./rewrite.ts";

/** What the gateway's own changes to a module were. */
export interface ModuleAdaptation extends ModuleNotes {
  /** The SHA-256 of what was pulled, where the module in effect is that with changes for the gateway. */
  readonly adaptedFrom?: string;
}

/** Fetches a module to a local file. */
export type FetchModule = (
  request: ModuleRequest,
  signal: AbortSignal,
) => Promise<ModuleAdaptation & { readonly path: string }>;

/** What the agent has for one ECDS resource. */
export interface Resolution {
  /** What Envoy gets: the filter with its local module, or a substitute; undefined to leave Envoy with what it has. */
  readonly resource: XdsResource | undefined;
  /** Why plugins are not what discovery sent, by name; none where all are. */
  readonly reasons: Reasons;
}

/** What came of one attempt to fetch a module. */
interface Attempt extends Resolution {
  /** How long a registry asks not to be asked again, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** What the agent does with each plugin, for `/debug/modules`. */
export interface PluginModule extends ModuleAdaptation {
  readonly name: string;
  readonly url: string;
  readonly state: "fetching" | "ready" | "last-good" | "denying" | "allowing";
  readonly path: string;
  readonly error: string;
  readonly attempts: number;
}

/** Turns ECDS resources of discovery into what Envoy gets. One for an agent: what it last had outlives streams. */
export interface ModuleResolver {
  /**
   * Resolves a resource. Calls `onResolution` once when it is known, and again each time that a failed fetch, tried
   * anew with growing pauses for as long as the signal is not aborted, ends better.
   */
  resolve(resource: XdsResource, onResolution: (resolution: Resolution) => void, signal: AbortSignal): void;
  /** Notes that Envoy took a resource of a resolution: it stays in effect when a later version fails. */
  accepted(resource: XdsResource): void;
  /**
   * Gives what Envoy gets after it refused a resource: the last one that it took, or else a substitute; no resource
   * where there is neither, or where it was one of these that was refused.
   */
  refused(resource: XdsResource, error: string): Resolution;
  /** Whether what Envoy says against a response is about this resource. */
  concerns(resource: XdsResource, error: string): boolean;
  /** Whether the module in a resource reads the route's name: the current route has to be looked up before it runs. */
  readsRoute(resource: XdsResource): boolean;
  /** Forgets a resource that Envoy does not ask for any more. */
  forget(name: string): void;
  plugins(): readonly PluginModule[];
  /** The SHA-256 of each plugin's module in a resource, as it was pulled; "" for one that is not there. */
  digests(name: string): ModuleDigests;
  /** The files of modules that Envoy may be running, or may have been given to run. */
  modulesInEffect(): readonly string[];
}

export function createModuleResolver(fetchModule: FetchModule, log: Log): ModuleResolver {
  /** What is in effect while a newer version is not: the last that was fetched, unless Envoy refused it. */
  const lastGood = new Map<string, XdsResource>();
  const lastAccepted = new Map<string, XdsResource>();
  const status = new Map<string, PluginModule>();
  const routeReaders = new WeakSet<XdsResource>();
  /** By plugin: the paths that went to Envoy since it last answered to the newest. It may yet be about to read them. */
  const handed = new Map<string, Set<string>>();

  async function attempt(wasm: WasmResource, attempts: number, signal: AbortSignal): Promise<Attempt> {
    const { name, request } = wasm;
    const note = (state: PluginModule["state"], path: string, error: string, made: ModuleAdaptation = {}) =>
      status.set(name, {
        ...{ name, url: shownUrl(request.url), state, path, error, attempts },
        ...(made.adaptedFrom !== undefined && { adaptedFrom: made.adaptedFrom }),
        ...notesOf(made),
      });
    if (attempts === 1) note("fetching", "", "");
    try {
      if (request.pullSecret === "")
        throw new SystemError(
          "unauthorized",
          "the image pull secret does not exist or may not be read by this gateway",
        );
      const module = await fetchModule(request, signal);
      // What a newer version has overtaken must not count as the last good one.
      signal.throwIfAborted();
      const resource = withLocalModule(wasm, module.path, getsHeldBodies(module.adapted ?? []));
      lastGood.set(name, resource);
      if (module.adapted?.includes(propertyNames)) routeReaders.add(resource);
      getOrCreate(handed, name, () => new Set()).add(module.path);
      note("ready", module.path, "", module);
      return { resource, reasons: noReasons };
    } catch (caught) {
      const failure = SystemError.from(caught, "network", `cannot fetch ${shownUrl(request.url)}`);
      const reasons = new Map([[name, failure.message]]);
      if (signal.aborted) return { resource: undefined, reasons };
      const kept = lastGood.get(name);
      note(stateWithout(wasm, kept), "", failure.message);
      log.warn(
        { plugin: name, url: shownUrl(request.url), code: failure.code, error: failure.message },
        effectOf(kept !== undefined, wasm),
      );
      return { resource: kept ?? substituteFor(wasm), reasons, retryAfterMs: failure.retryAfterMs };
    }
  }

  async function resolve(
    wasm: WasmResource,
    onResolution: (resolution: Resolution) => void,
    signal: AbortSignal,
  ) {
    for (let attempts = 1; !signal.aborted; attempts++) {
      const resolution = await attempt(wasm, attempts, signal);
      if (signal.aborted) return;
      const isThere = resolution.reasons.size === 0;
      if (attempts === 1 || isThere) onResolution(resolution);
      if (isThere) return;
      await pause(
        Math.max(retryMs(attempts), Math.min(resolution.retryAfterMs ?? 0, maxRetryAfterMs)),
        signal,
      );
    }
  }

  return {
    resolve(resource, onResolution, signal) {
      const wasm = read(resource);
      if (wasm) void resolve(wasm, onResolution, signal);
      else onResolution({ resource, reasons: noReasons });
    },
    accepted(resource) {
      if (isSubstitute(resource)) return;
      lastAccepted.set(resource.name, resource);
      if (lastGood.get(resource.name) === resource) handed.delete(resource.name);
    },
    concerns(resource, error) {
      const path = read(resource)?.request.url.slice("file://".length);
      return mentions(error, resource.name) || (path !== undefined && error.includes(path));
    },
    refused(resource, error) {
      const { name } = resource;
      const reasons = new Map([[name, error]]);
      const kept = lastAccepted.get(name);
      handed.delete(name);
      // What stands in for something has nothing to stand in for it.
      if (resource === kept || isSubstitute(resource)) return { resource: undefined, reasons };
      if (kept) lastGood.set(name, kept);
      else lastGood.delete(name);
      const wasm = read(resource);
      const known = status.get(name);
      if (wasm && known) status.set(name, { ...known, state: stateWithout(wasm, kept), error });
      return { resource: kept ?? (wasm && substituteFor(wasm)), reasons };
    },
    readsRoute: (resource) => routeReaders.has(resource),
    forget(name) {
      for (const map of [lastGood, lastAccepted, status, handed]) map.delete(name);
    },
    plugins: () => [...status.values()],
    digests(name) {
      const module = status.get(name);
      return new Map(module && [[name, digestOf(module)]]);
    },
    modulesInEffect() {
      const kept = [...lastGood.values(), ...lastAccepted.values()].flatMap((resource) => {
        const url = read(resource)?.request.url;
        return url ? [url.slice("file://".length)] : [];
      });
      return [...new Set([...kept, ...[...handed.values()].flatMap((paths) => [...paths])])];
    },
  };
}

/** Whether a text has a plugin's name in it, and not only one that begins or ends with it. */
export function mentions(text: string, name: string): boolean {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\w.-])${escaped}(?![\\w-]|\\.\\w)`).test(text);
}

/** Files of modules are called by their digests. */
function digestOf({ path, adaptedFrom }: PluginModule): string {
  const hex = adaptedFrom ?? basename(path, ".wasm");
  return /^[0-9a-f]{64}$/.test(hex) ? `sha256:${hex}` : "";
}

/** A url without what may be secret in it: user, password and query. */
function shownUrl(url: string): string {
  return /^https?:/i.test(url) ? url.replace(/\/\/[^/@]*@/, "//").replace(/\?.*/, "?…") : url;
}

/** What cannot be read here, Envoy refuses itself, and says why. */
function read(resource: XdsResource): WasmResource | undefined {
  try {
    return readWasmResource(resource);
  } catch {
    return undefined;
  }
}

/** What is in effect in the place of a plugin. */
function stateWithout({ failOpen }: WasmResource, kept: XdsResource | undefined): PluginModule["state"] {
  if (kept) return "last-good";
  return failOpen ? "allowing" : "denying";
}

function effectOf(hasLastGood: boolean, { failOpen }: WasmResource): string {
  if (hasLastGood) return "module not available; the last good one stays in effect";
  return failOpen
    ? "module not available; requests pass without the plugin (FAIL_OPEN)"
    : "module not available; requests are denied (FAIL_CLOSE)";
}

/** However long a registry asks to be left alone, it is asked again after this time. */
const maxRetryAfterMs = 600_000;

/** 1 s doubling to 60 s, of which a random half. */
function retryMs(attempts: number): number {
  return Math.min(1000 * 2 ** (attempts - 1), 60_000) * (0.5 + Math.random() / 2);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
