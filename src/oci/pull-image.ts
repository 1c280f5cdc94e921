import { addToLayout, type LayoutBlob } from "./image-layout.ts";
import type { Descriptor } from "./manifest.ts";
import { manifestName, type Reference } from "./reference.ts";
import type { PullOptions, RegistryClient } from "./registry-client.ts";

/** What came of a pull. */
export interface PulledImage {
  /** Of the image's manifest. */
  readonly digest: string;
  /** How the layout names it. */
  readonly name: string;
}

/** Hears of each blob before it is fetched and after. */
export interface PullProgress {
  readonly onBlob?: (blob: Descriptor) => void;
  readonly onBlobEnd?: () => void;
}

/**
 * Copies an image from a registry into an OCI image layout directory, byte for byte, under its repository's name and
 * its tag. Of an index only the image that holds a plugin is taken.
 * @throws SystemError as `RegistryClient` does, and `disk`
 */
export async function pullImage(
  client: RegistryClient,
  reference: Reference,
  directory: string,
  options: PullOptions & PullProgress = {},
): Promise<PulledImage> {
  const { onBlob, onBlobEnd, ...pull } = options;
  const { digest } = await client.resolve(reference, pull);
  const { content, bytes } = await client.fetchManifest({ ...reference, digest }, pull);
  const listed =
    content.kind === "manifest" ? [...content.layers, ...(content.config ? [content.config] : [])] : [];
  const blobs: LayoutBlob[] = [];
  for (const descriptor of new Map(listed.map((blob) => [blob.digest, blob])).values()) {
    onBlob?.(descriptor);
    blobs.push({ descriptor, bytes: await client.fetchBlob(reference, descriptor, pull) });
    onBlobEnd?.();
  }
  const name = nameInLayout(reference);
  const manifest = { descriptor: { mediaType: content.mediaType, digest, size: bytes.length }, bytes };
  await addToLayout(directory, blobs, manifest, name);
  return { digest, name };
}

/** An image that was asked for by its digest alone has a tag made of it: layouts name images by tags. */
function nameInLayout(reference: Reference): string {
  const tag = reference.tag ?? manifestName(reference).replace("sha256:", "sha256-");
  return `${reference.repository}:${tag}`;
}
