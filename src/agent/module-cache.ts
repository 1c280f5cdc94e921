import { LRUCache } from "lru-cache";
import { type Log, silentLog } from "../log.ts";
import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import {
  createModuleFetcher,
  type FetchModule,
  type FoundModule,
  type ModulePreparation,
} from "./module-fetcher.ts";
import { type ModuleNotes, type ModuleSource, notesOf } from "./module-index.ts";
import { type ModuleOrigin, parseModuleUrl } from "./module-origin.ts";
import {
  dependsOnVersion,
  expectedSha256,
  isExpected,
  type ModuleRequest,
  repositoryOf,
} from "./module-request.ts";
import { type ModuleStore, openModuleStore, type StoredModule } from "./module-store.ts";
import { createSingleFlight } from "./single-flight.ts";

export type { ModulePreparation, PreparedModule } from "./module-fetcher.ts";
export type { ModuleRequest } from "./module-request.ts";

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
  readonly log?: Log;
  /** Hears of each request whether the cache had what it asks for. */
  readonly onLookup?: (hit: boolean) => void;
  readonly onFetch?: (result: FetchResult) => void;
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
  /**
   * Removes modules that nobody asked for in `maxAgeMs` milliseconds and whose digest is not in `keep`.
   * @returns the digests of what was removed
   * @throws SystemError `disk`
   */
  purge(keep: ReadonlySet<string>, maxAgeMs: number): Promise<readonly string[]>;
}

/** The module cache of an agent: one download however many ask, and none where the pull policy needs none. */
export function createModuleCache(options: ModuleCacheOptions): ModuleCache {
  const open = createOpener(options);
  /** By plugin and URL: the version with which it last got its module. */
  const versions = new LRUCache<string, string>({ max: 100_000 });
  let opened: ModuleStore | undefined;
  return {
    async fetch(request, signal) {
      const origin = parseModuleUrl(request.url);
      const { store, fetchModule } = await open();
      opened = store;
      const versionKey = JSON.stringify([request.resource, origin.key]);
      const isSeen = versions.get(versionKey) === request.resourceVersion;
      const known = await lookUp(store, origin, request, isSeen, options.preparation?.target);
      options.onLookup?.(known !== undefined);
      const found = known ?? (await observe(options, () => fetchModule(origin, request, signal)));
      // Unlike Istio: only now, so that a pull that failed is tried again and does not leave the old module in place.
      versions.set(versionKey, request.resourceVersion);
      const { module, source } = found;
      return { ...module, manifestDigest: source.digests[0], ...adaptationOf(source) };
    },
    entries: () => (opened === undefined ? [] : describeEntries(opened)),
    async purge(keep, maxAgeMs) {
      const { store } = await open();
      const oldest = Date.now() - maxAgeMs;
      return store.purge((digest, lastUsed) => keep.has(digest) || lastUsed > oldest);
    },
  };
}

interface OpenCache {
  readonly store: ModuleStore;
  readonly fetchModule: FetchModule;
}

/** Opens the directory once; after an error the next call tries again. */
function createOpener(options: ModuleCacheOptions): () => Promise<OpenCache> {
  const { dir, log = silentLog, maxModuleBytes: maxBytes = 256 << 20, fetchTimeoutMs = 300_000 } = options;
  const openOnce = createSingleFlight<OpenCache>();
  let opened: OpenCache | undefined;
  const begin = async () => {
    const store = await openModuleStore(dir, maxBytes, (message) => log.warn({}, message));
    return { store, fetchModule: createModuleFetcher(store, { ...options, maxBytes, fetchTimeoutMs }) };
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
