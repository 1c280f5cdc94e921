import { SystemError } from "../system-error.ts";
import type { Descriptor } from "./manifest.ts";
import { formatReference, manifestName, type Reference } from "./reference.ts";
import {
  askRegistry,
  createRegistrySession,
  type RegistryClientOptions,
  type RegistrySession,
} from "./registry-session.ts";
import type { StoredImage } from "./stored-image.ts";
import { type UploadOutcome, uploadBlob } from "./upload-blob.ts";

export interface PushOptions {
  /** A repository of the same registry that may have blobs, which are then mounted and not sent. */
  readonly mountFrom?: string;
  /** How much is sent in one request, 16 MiB unless given; what is larger goes in chunks. */
  readonly chunkBytes?: number;
  readonly progress?: PushProgress;
  readonly signal?: AbortSignal;
}

/** Hears how a push gets on. */
export interface PushProgress {
  onStart?(blob: Descriptor): void;
  /** Bytes as they leave; negative ones for what has to leave again. */
  onSent?(blob: Descriptor, bytes: number): void;
  onEnd?(blob: Descriptor, outcome: UploadOutcome): void;
}

export interface PushedImage {
  readonly digest: string;
  /** False where the tag stood for the same image before. */
  readonly isNew: boolean;
}

const defaultChunkBytes = 16 << 20;

/**
 * Pushes an image, or an index with its images, over the OCI distribution API: what the registry has is not sent, and the
 * manifest goes last, so that nobody finds a tag whose layers are not there.
 * @throws SystemError `unauthorized`, `not-found`, `registry`, `network`, `timeout`, `digest-mismatch`, `disk`, `cancelled`
 */
export async function pushImage(
  options: RegistryClientOptions,
  image: StoredImage,
  reference: Reference,
  push: PushOptions = {},
): Promise<PushedImage> {
  const { digest } = image.descriptor;
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new SystemError(
      "digest-mismatch",
      `${formatReference(reference)} cannot stand for the image with digest ${digest}; give a tag, or that digest`,
    );
  }
  const session = createRegistrySession(options);
  const target = { session, reference, push, scopes: scopesFor(reference, push.mountFrom) };
  if (await isThere(target, image, manifestName(reference))) return { digest, isNew: false };
  await pushContent(target, image);
  await putManifest(target, image, manifestName(reference));
  return { digest, isNew: true };
}

interface Target {
  readonly session: RegistrySession;
  readonly reference: Reference;
  readonly push: PushOptions;
  readonly scopes: readonly string[];
}

function scopesFor({ repository }: Reference, mountFrom: string | undefined): readonly string[] {
  const own = `repository:${repository}:pull,push`;
  return mountFrom === undefined ? [own] : [own, `repository:${mountFrom}:pull`];
}

/** Whether a name in the registry stands for the image. */
async function isThere(target: Target, { descriptor }: StoredImage, name: string): Promise<boolean> {
  const isFine = (status: number) => status === 200 || status === 404;
  const answer = await ask(target, { method: "HEAD", name, accept: descriptor.mediaType, isFine });
  return answer.status === 200 && answer.header("docker-content-digest")[0] === descriptor.digest;
}

async function pushContent(target: Target, image: StoredImage): Promise<void> {
  for (const blob of image.blobs) await pushBlob(target, image, blob);
  for (const part of image.images) {
    await pushContent(target, part);
    await putManifest(target, part, part.descriptor.digest);
  }
}

async function pushBlob(target: Target, image: StoredImage, blob: Descriptor): Promise<void> {
  const { push, ...where } = target;
  const { mountFrom, chunkBytes = defaultChunkBytes, progress, signal } = push;
  progress?.onStart?.(blob);
  const outcome = await uploadBlob({
    ...where,
    blob,
    read: () => image.read(blob),
    mountFrom,
    chunkBytes,
    onSent: (bytes) => progress?.onSent?.(blob, bytes),
    signal,
  });
  progress?.onEnd?.(blob, outcome);
}

async function putManifest(target: Target, { descriptor, bytes }: StoredImage, name: string): Promise<void> {
  const { mediaType, digest } = descriptor;
  const headers = { "content-type": mediaType };
  const isFine = (status: number) => status === 201 || status === 200;
  const answer = await ask(target, { method: "PUT", name, headers, body: bytes, isFine });
  const stored = answer.header("docker-content-digest")[0];
  if (stored === undefined || stored === digest) return;
  const doing = `pushing ${formatReference(target.reference)}`;
  throw new SystemError("digest-mismatch", `${doing}: the registry has stored ${stored}; expected ${digest}`);
}

interface ManifestQuestion {
  readonly method: "HEAD" | "PUT";
  readonly name: string;
  readonly isFine: (status: number) => boolean;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

function ask({ session, reference, scopes, push }: Target, { name, ...question }: ManifestQuestion) {
  const doing = `pushing ${formatReference(reference)}`;
  const common = { reference, scopes, doing, accept: "*/*", maxBytes: 1 << 20, signal: push.signal };
  return askRegistry(session, { ...common, path: `manifests/${name}`, ...question });
}
