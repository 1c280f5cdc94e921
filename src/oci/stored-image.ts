import { readFile, stat } from "node:fs/promises";
import { SystemError } from "../system-error.ts";
import { checkDigest } from "./digest.ts";
import { blobPath, type LayoutEntry, readLayout } from "./image-layout.ts";
import { type Descriptor, parseManifest } from "./manifest.ts";

/** An image, or an index of images, whose content is at hand. */
export interface StoredImage {
  /** Of the manifest or the index. */
  readonly descriptor: Descriptor;
  /** The manifest or the index. */
  readonly bytes: Uint8Array;
  /** Config and layers, each once; none for an index. */
  readonly blobs: readonly Descriptor[];
  /** Of an index; none for an image. */
  readonly images: readonly StoredImage[];
  /** Reads a blob, and checks its digest. */
  read(blob: Descriptor): Promise<Uint8Array>;
}

const maxManifestBytes = 4 << 20;
const maxBlobBytes = 256 << 20;
/** An index may hold indexes, and not without end. */
const maxDepth = 4;

/**
 * Finds an image in an OCI image layout directory: the one of a name as its index.json has it, or the only one.
 * @throws SystemError `not-found`, `disk`, `digest-mismatch`, `registry`, `too-large`
 */
export async function findStoredImage(directory: string, name?: string): Promise<StoredImage> {
  const entries = readLayout(directory);
  const named = entries.filter((entry) => name === undefined || entry.name === name);
  const [entry, ...others] = named;
  if (entry === undefined || others.length > 0) throw notOne(directory, entries, name);
  return readStored(directory, entry.descriptor, maxDepth);
}

async function readStored(directory: string, descriptor: Descriptor, depth: number): Promise<StoredImage> {
  const bytes = await readBlob(directory, descriptor, maxManifestBytes);
  const what = `the manifest ${descriptor.digest} in ${directory}`;
  if (depth === 0)
    throw new SystemError("registry", `${what}: more than ${maxDepth} indexes within each other`);
  const content = parseManifest(bytes, descriptor.mediaType, what);
  const { mediaType } = content;
  const own = { descriptor: { ...descriptor, mediaType }, bytes };
  const read = (blob: Descriptor) => readBlob(directory, blob, maxBlobBytes);
  if (content.kind === "manifest") {
    const blobs = [...content.layers, ...(content.config ? [content.config] : [])];
    const once = new Map(blobs.map((blob) => [blob.digest, blob]));
    return { ...own, blobs: [...once.values()], images: [], read };
  }
  const images: StoredImage[] = [];
  for (const each of content.manifests) images.push(await readStored(directory, each, depth - 1));
  return { ...own, blobs: [], images, read };
}

async function readBlob(directory: string, blob: Descriptor, maxBytes: number): Promise<Uint8Array> {
  const path = blobPath(directory, blob.digest);
  const doing = `reading ${path}`;
  try {
    const { size } = await stat(path);
    if (size !== blob.size || size > maxBytes) {
      const expected = `expected ${blob.size}, and at most ${maxBytes}`;
      throw new SystemError("too-large", `${doing}: it has ${size} bytes; ${expected}`);
    }
    const bytes = await readFile(path);
    checkDigest(bytes, blob.digest, doing);
    return bytes;
  } catch (error) {
    throw SystemError.from(error, "disk", doing);
  }
}

function notOne(directory: string, entries: readonly LayoutEntry[], name: string | undefined): SystemError {
  const names = entries.map((entry) => entry.name ?? entry.descriptor.digest);
  const found = names.length === 0 ? "no image" : `${names.length}: ${names.slice(0, 10).join(", ")}`;
  const expected = name === undefined ? "one, or --image NAME to say which" : `one named ${name}`;
  return new SystemError("not-found", `the image layout ${directory} has ${found}; expected ${expected}`);
}
