import { LRUCache } from "lru-cache";
import { type Log, silentLog } from "../log.ts";
import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import { createModuleFetcher, type FetchModule, type FoundModule } from "./module-fetcher.ts";
import type { StoredModule } from "./module-files.ts";
import { type ModuleNotes, type ModuleSource, notesOf } from "./module-index.ts";
import { type ModuleOrigin, parseModuleUrl } from "./module-origin.ts";
import {
  dependsOnVersion,
  expectedSha256,
  isExpected,
  type ModuleRequest,
  repositoryOf,
} from "./module-request.ts";
import { createRetention, type RetainingStore } from "./module-retention.ts";
import { type ModuleStore, openModuleStore } from "./module-store.ts";
import type { ModulePreparation } from "./pulled-module.ts";
import type { PurgePolicy } from "./purge-policy.ts";
import { createSingleFlight } from "./single-flight.ts";

export type { ModuleRequest } from "./module-request.ts";
export type { ModulePreparation, PreparedModule } from "./pulled-module.ts";

/** A module in the cache. The file stays as it is: other bytes have another path. */
export interface Module extends StoredModule, ModuleNotes {
  /** The digest of the image manifest that it came with, `sha256:…`; undefined for what is no image. */
  readonly manifestDigest?: string;
  /** The SHA-256 of what was pulled, hexadecimal, where that was changed for the gateway. */
  readonly adaptedFrom?: string;
}

/** A module in the cache, for status. */
export interface ModuleEntry extends Module {
  /** The URLs that stood for it when they were last looked at, free of secrets. */
  readonly urls: readonly string[];
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/** The outcomes of going to the network or a file, as Istio's metrics name them. */
export type FetchResult = "success" | "download_failure" | "checksum_mismatched" | "fetch_failure";

export interface ModuleCacheOptions extends RegistryClientOptions {
  readonly dir: string;
  /** Of a module and of what it comes in, in bytes; 256 MiB unless given. */
  readonly maxModuleBytes?: number;
  /** Of one fetch with all its attempts, in milliseconds; five minutes unless given. */
  readonly fetchTimeoutMs?: number;
  /** What modules go through before they are stored; nothing unless given. */
  readonly preparation?: ModulePreparation;
  /** Which modules are given up; none unless given. */
  readonly retention?: PurgePolicy;
  readonly log?: Log;
  /** Hears of each request whether the cache had what it asks for. */
  readonly onLookup?: (hit: boolean) => void;
  readonly onFetch?: (result: FetchResult) => void;
  /** Hears how long each download took, in milliseconds. */
  readonly onPull?: (result: "success" | "failure", ms: number) => void;
}

export interface ModuleCache {
  /**
   * Gets a module, from disk where the pull policy allows.
   * @throws SystemError `reference-invalid`, `unauthorized`, `not-found`, `registry`, `network`, `timeout`, `too-large`,
   * `digest-mismatch`, `module-invalid`, `disk`, `cancelled`
   */
  fetch(request: ModuleRequest, signal?: AbortSignal): Promise<Module>;
  /** The modules that were asked for since the start. */
  entries(): readonly ModuleEntry[];
  /** Of all modules on disk, in bytes; 0 until the first request. */
  size(): number;
  /**
   * Removes what is to be given up. Happens by itself after each module that is stored.
   * @throws SystemError `disk`
   */
  purge(): Promise<void>;
}

/** The module cache of an agent: one download however many ask, and none where the pull policy needs none. */
export function createModuleCache(options: ModuleCacheOptions): ModuleCache {
  /** By plugin and URL: the version with which it last got its module. */
  const versions = new LRUCache<string, string>({ max: 100_000 });
  /** When each fetch began that is not over. */
  const running = new Set<{ readonly began: number }>();
  const open = createOpener(options, () => Math.min(...[...running].map(({ began }) => began)));
  let opened: ModuleStore | undefined;

  return {
    async fetch(request, signal) {
      const origin = parseModuleUrl(request.url);
      const { store, fetchModule, purgeSoon } = await open();
      opened = store;
      const own = { began: Date.now() };
      running.add(own);
      try {
        const versionKey = JSON.stringify([request.resource, origin.key]);
        const isSeen = versions.get(versionKey) === request.resourceVersion;
        const known = await lookUp(store, origin, request, isSeen, options.preparation?.target);
        options.onLookup?.(known !== undefined);
        const size = store.size();
        const fetched = () =>
          observe(options, () => fetchModule(origin, request, signal)).finally(() => {
            if (store.size() !== size) purgeSoon();
          });
        const { module, source } = known ?? (await fetched());
        // Unlike Istio: only now, so that a pull that failed is tried again and does not leave the old module in place.
        versions.set(versionKey, request.resourceVersion);
        return { ...module, manifestDigest: source.digests[0], ...adaptationOf(source) };
      } finally {
        // Whoever asked has noted by then that the module is in effect.
        setImmediate(() => running.delete(own));
      }
    },
    entries: () => (opened === undefined ? [] : describeEntries(opened)),
    size: () => opened?.size() ?? 0,
    purge: async () => (await open()).purge(),
  };
}

interface OpenCache extends RetainingStore {
  readonly fetchModule: FetchModule;
}

/** Opens the directory once; after an error the next call tries again. */
function createOpener(options: ModuleCacheOptions, usedSince: () => number): () => Promise<OpenCache> {
  const { dir, log = silentLog, maxModuleBytes: maxBytes = 256 << 20, fetchTimeoutMs = 300_000 } = options;
  const { retention } = options;
  const openOnce = createSingleFlight<OpenCache>();
  let opened: OpenCache | undefined;
  const begin = async () => {
    const bare = await openModuleStore(dir, maxBytes, (message) => log.warn({}, message));
    const retaining = retention
      ? createRetention(bare, retention, usedSince, log)
      : { store: bare, purge: async () => undefined, purgeSoon() {} };
    const fetchModule = createModuleFetcher(retaining.store, { ...options, maxBytes, fetchTimeoutMs });
    return { ...retaining, fetchModule };
  };
  return async () => {
    opened ??= await openOnce("", "opening the module cache", undefined, begin);
    return opened;
  };
}

/** What the cache has for a request without asking anybody. */
async function lookUp(
  store: ModuleStore,
  origin: ModuleOrigin,
  request: ModuleRequest,
  isSeen: boolean,
  target: string | undefined,
): Promise<FoundModule | undefined> {
  // Unlike Istio: a file is read each time; it is near, and whoever writes over it wants the new one.
  if (origin.kind === "file") return undefined;
  for (const [key, source] of store.sources()) {
    // What was prepared for another gateway, or not looked at yet, is pulled anew.
    if (source.preparedFor !== target || !isAnswer(key, source, origin, request, isSeen)) continue;
    const module = await store.find(source.module);
    if (module) return { module, source };
  }
  return undefined;
}

/** A digest that fits is enough, whatever tag it was found by; without one it depends on the pull policy. */
function isAnswer(
  key: string,
  source: ModuleSource,
  origin: ModuleOrigin,
  request: ModuleRequest,
  isSeen: boolean,
): boolean {
  const expected = expectedSha256(request);
  const pinned = origin.kind === "oci" ? origin.reference.digest : undefined;
  if (pinned !== undefined && !source.digests.includes(pinned)) return false;
  if (expected !== undefined && !isExpected(source, expected)) return false;
  const isDigestKnown = pinned !== undefined || expected !== undefined;
  if (isDigestKnown && source.repository !== undefined) return source.repository === repositoryOf(origin);
  if (key !== origin.key) return false;
  return isDigestKnown || isSeen || !dependsOnVersion(request, origin);
}

async function observe<T>({ onFetch }: ModuleCacheOptions, run: () => Promise<T>): Promise<T> {
  try {
    const result = await run();
    onFetch?.("success");
    return result;
  } catch (error) {
    onFetch?.(resultOf(error));
    throw error;
  }
}

function resultOf(error: unknown): FetchResult {
  const code = error instanceof SystemError ? error.code : undefined;
  if (code === "digest-mismatch") return "checksum_mismatched";
  return code === "module-invalid" ? "fetch_failure" : "download_failure";
}

function adaptationOf(source: ModuleSource): Pick<Module, "adaptedFrom"> & ModuleNotes {
  return { ...(source.pulled !== undefined && { adaptedFrom: source.pulled }), ...notesOf(source) };
}

function describeEntries(store: ModuleStore): readonly ModuleEntry[] {
  const sources = [...store.sources()];
  return store.entries().map((entry) => {
    const own = sources.filter(([, source]) => source.module === entry.digest);
    const manifestDigest = own.flatMap(([, source]) => source.digests)[0];
    return {
      ...entry,
      manifestDigest,
      ...(own[0] && adaptationOf(own[0][1])),
      urls: own.map(([key]) => key),
    };
  });
}
