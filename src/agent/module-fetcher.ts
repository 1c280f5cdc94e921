import { sha256Hex } from "../oci/digest.ts";
import { pullModule } from "../oci/pull-module.ts";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type ResolvedImage,
} from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import { downloadModule, readModuleFile } from "./fetch-module.ts";
import type { ModuleSource } from "./module-index.ts";
import type { ModuleOrigin } from "./module-origin.ts";
import {
  dependsOnVersion,
  expectedSha256,
  isExpected,
  type ModuleRequest,
  repositoryOf,
} from "./module-request.ts";
import type { ModuleStore, StoredModule } from "./module-store.ts";
import { createSingleFlight } from "./single-flight.ts";

/** A module in the store, and the digests of the manifests that led to it. */
export interface FoundModule {
  readonly module: StoredModule;
  readonly digests: readonly string[];
}

export interface ModuleFetcherOptions extends RegistryClientOptions {
  /** Of a module and of what it comes in, in bytes. */
  readonly maxBytes: number;
  /** Of one fetch with all its attempts, in milliseconds. */
  readonly fetchTimeoutMs: number;
}

/** Gets a module from where it is, into the store. */
export type FetchModule = (
  origin: ModuleOrigin,
  request: ModuleRequest,
  signal: AbortSignal | undefined,
) => Promise<FoundModule>;

type Image = Extract<ModuleOrigin, { kind: "oci" }>;

/** One look at the registry and one download at a time for each image, however many ask. */
export function createModuleFetcher(store: ModuleStore, options: ModuleFetcherOptions): FetchModule {
  const { fetchTimeoutMs, maxBytes, timeoutMs, maxAttempts, backoffMs, connections } = options;
  const client = createRegistryClient({ ...options, maxBlobBytes: maxBytes });
  const resolveOnce = createSingleFlight<ResolvedImage>();
  const storeOnce = createSingleFlight<StoredModule>();
  const limit = (signal: AbortSignal) => AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)]);

  const fetchPlain = async (
    origin: Exclude<ModuleOrigin, Image>,
    request: ModuleRequest,
    signal?: AbortSignal,
  ) => {
    const module = await storeOnce(
      flightKey(origin, request),
      `fetching ${origin.key}`,
      signal,
      async (shared) => {
        const settings = {
          maxBytes,
          timeoutMs,
          maxAttempts,
          backoffMs,
          connections,
          signal: limit(shared),
        };
        const bytes =
          origin.kind === "http"
            ? await downloadModule(origin, settings)
            : await readModuleFile(origin, settings);
        return store.put(bytes);
      },
    );
    return { module, digests: [] };
  };

  const fetchImage = async (origin: Image, request: ModuleRequest, signal?: AbortSignal) => {
    const { key, reference } = origin;
    const { pullSecret } = request;
    const image = await resolveOnce(flightKey(origin, request), `resolving ${key}`, signal, (shared) =>
      client.resolve(reference, { pullSecret, signal: limit(shared) }),
    );
    // Whoever comes here was given the manifest with credentials of its own, so the layer may be shared.
    const layerKey = `${repositoryOf(origin)}@${image.digest}`;
    const module = await storeOnce(layerKey, `pulling ${key}`, signal, async (shared) => {
      const known = await findByManifest(store, image.digest);
      if (known) return known;
      return store.put(
        await pullModule(client, reference, image, { pullSecret, maxBytes, signal: limit(shared) }),
      );
    });
    return { module, digests: [image.digest, image.indexDigest].filter((digest) => digest !== undefined) };
  };

  return async (origin, request, signal) => {
    const found = await (origin.kind === "oci"
      ? fetchImage(origin, request, signal)
      : fetchPlain(origin, request, signal));
    const source = { module: found.module.digest, digests: found.digests, repository: repositoryOf(origin) };
    await store.record(origin.key, source);
    checkExpected(source, request, origin);
    return found;
  };
}

/** Who comes with a new version must not join a look at the registry from before. */
function flightKey(origin: ModuleOrigin, request: ModuleRequest): string {
  const version = dependsOnVersion(request, origin) ? request.resourceVersion : "";
  const secret = origin.kind === "http" ? origin.url.href : (request.pullSecret ?? "");
  return JSON.stringify([origin.key, sha256Hex(Buffer.from(secret)), version]);
}

async function findByManifest(store: ModuleStore, digest: string): Promise<StoredModule | undefined> {
  for (const { digests, module } of store.sources().values()) {
    const stored = digests.includes(digest) ? await store.find(module) : undefined;
    if (stored) return stored;
  }
  return undefined;
}

function checkExpected(source: ModuleSource, request: ModuleRequest, origin: ModuleOrigin): void {
  const expected = expectedSha256(request);
  if (expected === undefined || isExpected(source, expected)) return;
  const manifest = source.digests[0] === undefined ? "" : ` and its manifest ${source.digests[0]}`;
  throw new SystemError(
    "digest-mismatch",
    `${origin.key}: the module has sha256 ${source.module}${manifest}; expected ${expected}, as the plugin says`,
  );
}
