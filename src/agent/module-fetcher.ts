import { sha256Hex } from "../oci/digest.ts";
import { pullModule } from "../oci/pull-module.ts";
import {
  createRegistryClient,
  type RegistryClientOptions,
  type ResolvedImage,
} from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import { downloadModule, readModuleFile } from "./fetch-module.ts";
import { type ModuleNotes, type ModuleSource, notesOf } from "./module-index.ts";
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

/** A module in the store, and how it came there. */
export interface FoundModule {
  readonly module: StoredModule;
  readonly source: ModuleSource;
}

/** A module as it is to be stored. */
export interface PreparedModule extends ModuleNotes {
  readonly bytes: Uint8Array;
}

/** What modules go through between the registry and the store. */
export interface ModulePreparation {
  /** What they are prepared for: what was stored for something else is no answer. */
  readonly target: string;
  /**
   * Checks a module and gives what is to be stored, the same array where nothing is to be changed. `what` begins
   * messages.
   * @throws SystemError `module-invalid`
   */
  prepare(bytes: Uint8Array, what: string): PreparedModule;
}

export interface ModuleFetcherOptions extends RegistryClientOptions {
  /** Of a module and of what it comes in, in bytes. */
  readonly maxBytes: number;
  /** Of one fetch with all its attempts, in milliseconds. */
  readonly fetchTimeoutMs: number;
  readonly preparation?: ModulePreparation;
}

/** What was pulled, by its SHA-256, and what became of it: a module in the store, or the reason why not. */
interface PulledModule {
  readonly pulled: string;
  readonly outcome: StoredModule | SystemError;
  readonly notes: ModuleNotes;
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
  const { fetchTimeoutMs, maxBytes, timeoutMs, maxAttempts, backoffMs, connections, preparation } = options;
  const client = createRegistryClient({ ...options, maxBlobBytes: maxBytes });
  const resolveOnce = createSingleFlight<ResolvedImage>();
  const storeOnce = createSingleFlight<PulledModule>();
  const limit = (signal: AbortSignal) => AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)]);

  const fetchPlain = async (
    origin: Exclude<ModuleOrigin, Image>,
    request: ModuleRequest,
    signal?: AbortSignal,
  ) => {
    const pulled = await storeOnce(
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
        return storePulled(store, bytes, origin.key, preparation);
      },
    );
    return { ...pulled, digests: [] };
  };

  const fetchImage = async (origin: Image, request: ModuleRequest, signal?: AbortSignal) => {
    const { key, reference } = origin;
    const { pullSecret } = request;
    const image = await resolveOnce(flightKey(origin, request), `resolving ${key}`, signal, (shared) =>
      client.resolve(reference, { pullSecret, signal: limit(shared) }),
    );
    // Whoever comes here was given the manifest with credentials of its own, so the layer may be shared.
    const layerKey = `${repositoryOf(origin)}@${image.digest}`;
    const pulled = await storeOnce(layerKey, `pulling ${key}`, signal, async (shared) => {
      const known = await findByManifest(store, image.digest, preparation?.target);
      if (known) return known;
      const bytes = await pullModule(client, reference, image, {
        pullSecret,
        maxBytes,
        signal: limit(shared),
      });
      return storePulled(store, bytes, key, preparation);
    });
    return { ...pulled, digests: [image.digest, image.indexDigest].filter((digest) => digest !== undefined) };
  };

  return async (origin, request, signal) => {
    const { pulled, outcome, notes, digests } = await (origin.kind === "oci"
      ? fetchImage(origin, request, signal)
      : fetchPlain(origin, request, signal));
    // What was forged must be called so, before what else is wrong with it.
    if (outcome instanceof SystemError) {
      checkExpected({ module: pulled, digests }, request, origin);
      throw outcome;
    }
    const source: ModuleSource = {
      module: outcome.digest,
      ...(pulled !== outcome.digest && { pulled }),
      ...(preparation && { preparedFor: preparation.target }),
      ...notes,
      digests,
      repository: repositoryOf(origin),
    };
    await store.record(origin.key, source);
    checkExpected(source, request, origin);
    return { module: outcome, source };
  };
}

/** Who comes with a new version must not join a look at the registry from before. */
function flightKey(origin: ModuleOrigin, request: ModuleRequest): string {
  const version = dependsOnVersion(request, origin) ? request.resourceVersion : "";
  const secret = origin.kind === "http" ? origin.url.href : (request.pullSecret ?? "");
  return JSON.stringify([origin.key, sha256Hex(Buffer.from(secret)), version]);
}

async function findByManifest(
  store: ModuleStore,
  digest: string,
  target: string | undefined,
): Promise<PulledModule | undefined> {
  for (const source of store.sources().values()) {
    const { digests, module, pulled = module, preparedFor } = source;
    if (preparedFor !== target || !digests.includes(digest)) continue;
    const outcome = await store.find(module);
    if (outcome) return { pulled, outcome, notes: notesOf(source) };
  }
  return undefined;
}

/** Stores what was pulled, prepared. */
async function storePulled(
  store: ModuleStore,
  bytes: Uint8Array,
  what: string,
  preparation: ModulePreparation | undefined,
): Promise<PulledModule> {
  const pulled = sha256Hex(bytes);
  try {
    const prepared = preparation?.prepare(bytes, what) ?? { bytes };
    return { pulled, outcome: await store.put(prepared.bytes), notes: notesOf(prepared) };
  } catch (error) {
    if (error instanceof SystemError && error.code === "module-invalid")
      return { pulled, outcome: error, notes: {} };
    throw error;
  }
}

function checkExpected(source: ModuleSource, request: ModuleRequest, origin: ModuleOrigin): void {
  const expected = expectedSha256(request);
  if (expected === undefined || isExpected(source, expected)) return;
  const manifest = source.digests[0] === undefined ? "" : ` and its manifest ${source.digests[0]}`;
  throw new SystemError(
    "digest-mismatch",
    `${origin.key}: the module has sha256 ${source.pulled ?? source.module}${manifest}; expected ${expected}, as the plugin says`,
  );
}
