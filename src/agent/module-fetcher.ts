import { LRUCache } from "lru-cache";
import { sha256Hex } from "../oci/digest.ts";
import { pullModule } from "../oci/pull-module.ts";
import {
  createRegistryClient,
  type PullOptions,
  type RegistryClientOptions,
  type ResolvedImage,
} from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import { downloadModule, readModuleFile } from "./fetch-module.ts";
import type { StoredModule } from "./module-files.ts";
import type { ModuleSource } from "./module-index.ts";
import type { ModuleOrigin } from "./module-origin.ts";
import {
  dependsOnVersion,
  expectedSha256,
  isExpected,
  type ModuleRequest,
  repositoryOf,
} from "./module-request.ts";
import type { ModuleStore } from "./module-store.ts";
import { createSingleFlight } from "./single-flight.ts";

/** A module in the store, and how it came there. */
export interface FoundModule {
  readonly module: StoredModule;
  readonly source: ModuleSource;
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
  prepare(bytes: Uint8Array, what: string): Uint8Array;
}

export interface ModuleFetcherOptions extends RegistryClientOptions {
  /** Of a module and of what it comes in, in bytes. */
  readonly maxBytes: number;
  /** Of one fetch with all its attempts, in milliseconds. */
  readonly fetchTimeoutMs: number;
  readonly preparation?: ModulePreparation;
  /** Hears how long each download took, in milliseconds, until its module was stored or why it was not. */
  readonly onPull?: (result: "success" | "failure", ms: number) => void;
}

/** What was pulled, by its SHA-256, and what became of it: a module in the store, or the reason why not. */
interface PulledModule {
  readonly pulled: string;
  readonly outcome: StoredModule | SystemError;
}

/** Gets a module from where it is, into the store. */
export type FetchModule = (
  origin: ModuleOrigin,
  request: ModuleRequest,
  signal: AbortSignal | undefined,
) => Promise<FoundModule>;

/** What is remembered of images, in numbers of them. */
const maxRemembered = 10_000;

type Image = Extract<ModuleOrigin, { kind: "oci" }>;

/** One look at the registry and one download at a time for each image, however many ask. */
export function createModuleFetcher(store: ModuleStore, options: ModuleFetcherOptions): FetchModule {
  const { fetchTimeoutMs, maxBytes, timeoutMs, maxAttempts, backoffMs, connections, preparation } = options;
  const { onReceived } = options;
  const client = createRegistryClient({ ...options, maxBlobBytes: maxBytes });
  const resolveOnce = createSingleFlight<ResolvedImage>();
  const storeOnce = createSingleFlight<PulledModule>();
  /** What URLs of images stood for when they were last looked at. */
  const resolved = new LRUCache<string, ResolvedImage>({ max: maxRemembered });
  /** By the digest of the manifest: images that this gateway cannot use. They stay so. */
  const refused = new LRUCache<string, PulledModule | SystemError>({ max: maxRemembered });
  const limit = (signal: AbortSignal) => AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)]);

  const fetchPlain = async (
    origin: Exclude<ModuleOrigin, Image>,
    request: ModuleRequest,
    signal?: AbortSignal,
  ) => {
    const download = async (shared: AbortSignal) => {
      const settings = {
        maxBytes,
        timeoutMs,
        maxAttempts,
        backoffMs,
        connections,
        onReceived,
        signal: limit(shared),
      };
      const bytes =
        origin.kind === "http"
          ? await downloadModule(origin, settings)
          : await readModuleFile(origin, settings);
      return storePulled(bytes, origin.key, preparation, (prepared) => store.put(prepared));
    };
    const doing = `fetching ${origin.key}`;
    const pulled = await storeOnce(flightKey(origin, request), doing, signal, (shared) =>
      timed(options, () => download(shared)),
    );
    return { ...pulled, digests: [] };
  };

  /** Asks for the manifest only where the URL does not stand for what it stood for last time. */
  const resolve = async ({ key, reference }: Image, pull: PullOptions) => {
    const known = resolved.get(key);
    const digest = known && (await client.findDigest(reference, pull));
    if (known && digest === (known.indexDigest ?? known.digest)) return known;
    const image = await client.resolve(reference, pull);
    resolved.set(key, image);
    return image;
  };

  const pull = async (origin: Image, image: ResolvedImage, options: PullOptions): Promise<PulledModule> => {
    try {
      const bytes = await pullModule(client, origin.reference, image, { ...options, maxBytes });
      const pulled = await storePulled(bytes, origin.key, preparation, (prepared) =>
        store.put(prepared, (module) =>
          describeSource(origin, { module, pulled: sha256Hex(bytes) }, digestsOf(image), preparation),
        ),
      );
      if (pulled.outcome instanceof SystemError) refused.set(image.digest, pulled);
      return pulled;
    } catch (error) {
      if (isLasting(error)) refused.set(image.digest, error);
      throw error;
    }
  };

  /** What is known of an image without its layer. */
  const recall = async ({ digest }: ResolvedImage): Promise<PulledModule | undefined> => {
    const refusal = refused.get(digest);
    if (refusal instanceof SystemError) throw refusal;
    return refusal ?? findImage(store, digest, preparation?.target);
  };

  const fetchImage = async (origin: Image, request: ModuleRequest, signal?: AbortSignal) => {
    const { key } = origin;
    const { pullSecret } = request;
    const image = await resolveOnce(flightKey(origin, request), `resolving ${key}`, signal, (shared) =>
      resolve(origin, { pullSecret, signal: limit(shared) }),
    );
    // Whoever comes here was given the manifest with credentials of its own, so the layer may be shared.
    const layerKey = `${repositoryOf(origin)}@${image.digest}`;
    const pulled = await storeOnce(layerKey, `pulling ${key}`, signal, async (shared) => {
      const known = await recall(image);
      return known ?? timed(options, () => pull(origin, image, { pullSecret, signal: limit(shared) }));
    });
    return { ...pulled, digests: digestsOf(image) };
  };

  return async (origin, request, signal) => {
    const { pulled, outcome, digests } = await (origin.kind === "oci"
      ? fetchImage(origin, request, signal)
      : fetchPlain(origin, request, signal));
    // What was forged must be called so, before what else is wrong with it.
    if (outcome instanceof SystemError) {
      checkExpected({ module: pulled, digests }, request, origin);
      throw outcome;
    }
    const source = describeSource(origin, { module: outcome.digest, pulled }, digests, preparation);
    await store.record(origin.key, source);
    checkExpected(source, request, origin);
    return { module: outcome, source };
  };
}

/** True where an image is at fault, and not who sent it: the same manifest will never be better. */
function isLasting(error: unknown): error is SystemError {
  return error instanceof SystemError && (error.code === "module-invalid" || error.code === "too-large");
}

function digestsOf({ digest, indexDigest }: ResolvedImage): readonly string[] {
  return [digest, indexDigest].filter((each) => each !== undefined);
}

function describeSource(
  origin: ModuleOrigin,
  { module, pulled }: { readonly module: string; readonly pulled: string },
  digests: readonly string[],
  preparation: ModulePreparation | undefined,
): ModuleSource {
  return {
    module,
    ...(pulled !== module && { pulled }),
    ...(preparation && { preparedFor: preparation.target }),
    digests,
    repository: repositoryOf(origin),
  };
}

async function timed(
  { onPull }: ModuleFetcherOptions,
  run: () => Promise<PulledModule>,
): Promise<PulledModule> {
  const began = performance.now();
  const finish = (result: "success" | "failure") => onPull?.(result, performance.now() - began);
  try {
    const pulled = await run();
    finish(pulled.outcome instanceof SystemError ? "failure" : "success");
    return pulled;
  } catch (error) {
    finish("failure");
    throw error;
  }
}

/** Who comes with a new version must not join a look at the registry from before. */
function flightKey(origin: ModuleOrigin, request: ModuleRequest): string {
  const version = dependsOnVersion(request, origin) ? request.resourceVersion : "";
  const secret = origin.kind === "http" ? origin.url.href : (request.pullSecret ?? "");
  return JSON.stringify([origin.key, sha256Hex(Buffer.from(secret)), version]);
}

/** What became of an image that was pulled before, if it is still there and was prepared for the same. */
async function findImage(
  store: ModuleStore,
  digest: string,
  target: string | undefined,
): Promise<PulledModule | undefined> {
  const source = store.images().get(digest);
  if (!source || source.preparedFor !== target) return undefined;
  const { module, pulled = module } = source;
  const outcome = await store.find(module);
  return outcome && { pulled, outcome };
}

/** Stores what was pulled, prepared. */
async function storePulled(
  bytes: Uint8Array,
  what: string,
  preparation: ModulePreparation | undefined,
  put: (prepared: Uint8Array) => Promise<StoredModule>,
): Promise<PulledModule> {
  const pulled = sha256Hex(bytes);
  try {
    return { pulled, outcome: await put(preparation?.prepare(bytes, what) ?? bytes) };
  } catch (error) {
    if (error instanceof SystemError && error.code === "module-invalid") return { pulled, outcome: error };
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
