import { SystemError } from "../system-error.ts";
import { checkDigest, digestOf } from "./digest.ts";
import type { HttpAnswer } from "./http.ts";
import {
  chooseImage,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  mediaTypes,
  parseManifest,
} from "./manifest.ts";
import { formatReference, isDigest, manifestName, type Reference } from "./reference.ts";
import {
  askRegistry,
  createRegistrySession,
  type PullOptions,
  type RegistryClientOptions,
  type RegistrySession,
} from "./registry-session.ts";

export type { PullOptions, RegistryClientOptions } from "./registry-session.ts";

/** What a reference stands for in its registry, now. */
export interface ResolvedImage {
  readonly manifest: ImageManifest;
  /** Of the image manifest, `sha256:…`. */
  readonly digest: string;
  /** Of the index by which it was found, if there was one. */
  readonly indexDigest?: string;
}

/** A manifest or an index as a registry has it. */
export interface FetchedManifest {
  readonly content: ImageManifest | ImageIndex;
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** Pulls from registries over the OCI distribution API; every digest is checked. */
export interface RegistryClient {
  /**
   * Fetches the manifest of an image, through an index where there is one.
   * @throws SystemError `unauthorized`, `not-found`, `registry`, `network`, `timeout`, `digest-mismatch`, `too-large`
   */
  resolve(reference: Reference, options?: PullOptions): Promise<ResolvedImage>;
  /**
   * Asks what a reference stands for now: the digest of its manifest, or of the index above it. Costs no pull where
   * registries count those. Undefined where the registry does not say, or says no: `resolve` then finds out why. Throws as
   * `resolve` does.
   */
  findDigest(reference: Reference, options?: PullOptions): Promise<string | undefined>;
  /** Fetches a manifest or an index as it is. Throws as `resolve` does. */
  fetchManifest(reference: Reference, options?: PullOptions): Promise<FetchedManifest>;
  /** Fetches a layer. Throws as `resolve` does. */
  fetchBlob(reference: Reference, blob: Descriptor, options?: PullOptions): Promise<Uint8Array>;
}

const accepted = [
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
].join(", ");

/** Answers by which a registry says how it is, and not what it has. */
const isUnwell = (status: number) => status === 429 || (status >= 500 && status !== 501);

export function createRegistryClient(
  options: RegistryClientOptions = {},
  session: RegistrySession = createRegistrySession(options),
): RegistryClient {
  const { maxManifestBytes = 4 << 20, maxBlobBytes = 256 << 20 } = options;
  const fetchManifest = async (reference: Reference, pull: PullOptions = {}) => {
    const doing = `fetching the manifest of ${formatReference(reference)}`;
    const path = `manifests/${manifestName(reference)}`;
    const answer = await askRegistry(session, {
      reference,
      path,
      doing,
      accept: accepted,
      maxBytes: maxManifestBytes,
      ...pull,
    });
    return readManifest(answer, reference, doing);
  };
  return {
    fetchManifest,
    async resolve(reference, pull = {}) {
      const found = await fetchManifest(reference, pull);
      if (found.content.kind === "manifest") return { manifest: found.content, digest: found.digest };
      const child = chooseFrom(found.content, reference);
      const { content, digest } = await fetchManifest({ ...reference, digest: child.digest }, pull);
      if (content.kind === "manifest") return { manifest: content, digest, indexDigest: found.digest };
      throw new SystemError(
        "registry",
        `${formatReference(reference)} is an index of indexes; expected one of images`,
      );
    },
    async findDigest(reference, pull = {}) {
      const doing = `looking at the manifest of ${formatReference(reference)}`;
      const path = `manifests/${manifestName(reference)}`;
      const question = { reference, path, doing, accept: accepted, maxBytes: 0, ...pull };
      const answer = await askRegistry(session, {
        ...question,
        method: "HEAD",
        isFine: (status) => !isUnwell(status),
      });
      const digest = answer.status === 200 ? answer.header("docker-content-digest")[0] : undefined;
      return digest !== undefined && isDigest(digest) ? digest : undefined;
    },
    async fetchBlob(reference, blob, pull = {}) {
      const doing = `fetching layer ${blob.digest} of ${formatReference(reference)}`;
      if (blob.size > maxBlobBytes) {
        throw new SystemError(
          "too-large",
          `${doing}: it has ${blob.size} bytes; at most ${maxBlobBytes} are allowed`,
        );
      }
      const path = `blobs/${blob.digest}`;
      const question = { reference, path, doing, accept: "*/*", maxBytes: blob.size, ...pull };
      const answer = await askRegistry(session, question).catch((error) => {
        throw isTooLarge(error) ? notAsAnnounced(doing, blob, error) : error;
      });
      checkDigest(answer.body, blob.digest, doing);
      return answer.body;
    },
  };
}

function isTooLarge(error: unknown): boolean {
  return error instanceof SystemError && error.code === "too-large";
}

/** That more bytes come than there are is the registry's fault, not the image's. */
function notAsAnnounced(doing: string, { size }: Descriptor, cause: unknown): SystemError {
  const message = `${doing}: more than ${size} bytes came; expected ${size}, as the manifest says`;
  return new SystemError("digest-mismatch", message, cause);
}

function readManifest(answer: HttpAnswer, reference: Reference, doing: string): FetchedManifest {
  const announced = answer.header("docker-content-digest")[0];
  const expected = reference.digest ?? (announced && isDigest(announced) ? announced : undefined);
  if (expected !== undefined) checkDigest(answer.body, expected, doing);
  const mediaType = (answer.header("content-type")[0] ?? "").split(";")[0]?.trim() ?? "";
  const { body: bytes } = answer;
  return { content: parseManifest(bytes, mediaType, doing), digest: digestOf(bytes), bytes };
}

function chooseFrom(index: ImageIndex, reference: Reference): Descriptor {
  const image = chooseImage(index);
  if (image) return image;
  const found = `${index.manifests.length} entries, none of them an image`;
  throw new SystemError(
    "registry",
    `${formatReference(reference)} is an index with ${found}; expected a plugin image`,
  );
}
