import { LRUCache } from "lru-cache";
import { sha256Hex } from "../oci/digest.ts";
import { pullModule } from "../oci/pull-module.ts";
import { createRegistryClient, type PullOptions, type ResolvedImage } from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import { notesOf } from "./module-index.ts";
import type { ModuleOrigin } from "./module-origin.ts";
import { type ModuleRequest, repositoryOf } from "./module-request.ts";
import type { ModuleStore } from "./module-store.ts";
import {
  describeSource,
  flightKey,
  limited,
  type ModuleFetcherOptions,
  type PulledModule,
  storePulled,
  timed,
} from "./pulled-module.ts";
import { createSingleFlight } from "./single-flight.ts";

/** What is remembered of images, in numbers of them. */
const maxRemembered = 10_000;

type Image = Extract<ModuleOrigin, { kind: "oci" }>;

/** What an image was found to be, with the digests of its manifest and of the index above it. */
export interface FetchedImage extends PulledModule {
  readonly digests: readonly string[];
}

export type FetchImage = (
  origin: Image,
  request: ModuleRequest,
  signal: AbortSignal | undefined,
) => Promise<FetchedImage>;

/** One look at the registry and one download at a time for each image, however many ask. */
export function createImageFetcher(store: ModuleStore, options: ModuleFetcherOptions): FetchImage {
  const { maxBytes, preparation } = options;
  const client = createRegistryClient({ ...options, maxBlobBytes: maxBytes });
  const resolveOnce = createSingleFlight<ResolvedImage>();
  const storeOnce = createSingleFlight<PulledModule>();
  /** What URLs stood for when they were last looked at. */
  const resolved = new LRUCache<string, ResolvedImage>({ max: maxRemembered });
  /** By the digest of the manifest: images that this gateway cannot use. They stay so. */
  const refused = new LRUCache<string, PulledModule | SystemError>({ max: maxRemembered });

  // Unlike Istio: the manifest is asked for only where the URL does not stand for what it stood for last time. Registries
  // that limit pulls count manifests, and not the question which one it is.
  async function resolve({ key, reference }: Image, settings: PullOptions): Promise<ResolvedImage> {
    const known = resolved.get(key);
    const digest = known && (await client.findDigest(reference, settings));
    if (known && digest === (known.indexDigest ?? known.digest)) return known;
    const image = await client.resolve(reference, settings);
    resolved.set(key, image);
    return image;
  }

  async function pull(origin: Image, image: ResolvedImage, settings: PullOptions): Promise<PulledModule> {
    try {
      const bytes = await pullModule(client, origin.reference, image, { ...settings, maxBytes });
      const pulled = sha256Hex(bytes);
      const found = await storePulled(bytes, origin.key, preparation, (prepared) => {
        const notes = notesOf(prepared);
        return store.put(prepared.bytes, (module) =>
          describeSource(origin, { module, pulled, notes }, digestsOf(image), preparation),
        );
      });
      if (found.outcome instanceof SystemError) refused.set(image.digest, found);
      return found;
    } catch (error) {
      if (isLasting(error)) refused.set(image.digest, error);
      throw error;
    }
  }

  /** What is known of an image without its layer. */
  async function recall({ digest }: ResolvedImage): Promise<PulledModule | undefined> {
    const refusal = refused.get(digest);
    if (refusal instanceof SystemError) throw refusal;
    return refusal ?? findImage(store, digest, preparation?.target);
  }

  return async (origin, request, signal) => {
    const { key } = origin;
    const { pullSecret } = request;
    const image = await resolveOnce(flightKey(origin, request), `resolving ${key}`, signal, (shared) =>
      resolve(origin, { pullSecret, signal: limited(shared, options) }),
    );
    // Whoever comes here was given the manifest with credentials of its own, so the layer may be shared.
    const layerKey = `${repositoryOf(origin)}@${image.digest}`;
    const pulled = await storeOnce(layerKey, `pulling ${key}`, signal, async (shared) => {
      const known = await recall(image);
      const settings = { pullSecret, signal: limited(shared, options) };
      return known ?? timed(options, () => pull(origin, image, settings));
    });
    return { ...pulled, digests: digestsOf(image) };
  };
}

/** True where an image is at fault, and not who sent it: the same manifest will never be better. */
function isLasting(error: unknown): error is SystemError {
  return error instanceof SystemError && (error.code === "module-invalid" || error.code === "too-large");
}

function digestsOf({ digest, indexDigest }: ResolvedImage): readonly string[] {
  return [digest, indexDigest].filter((each) => each !== undefined);
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
  return outcome && { pulled, outcome, notes: notesOf(source) };
}
