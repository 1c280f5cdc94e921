import { readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { blobPath, type LayoutEntry, readLayout } from "./image-layout.ts";
import { mediaTypes } from "./manifest.ts";
import { isDigest, isRepository, isTag } from "./reference.ts";

/** A repository as layouts hold it. */
export interface Repository {
  /** The layout directories in which it has images. */
  readonly layouts: readonly string[];
  /** The digest of each tag's manifest. */
  readonly tags: ReadonlyMap<string, string>;
}

const maxManifestBytes = 4 << 20;

/** The repositories in some layouts. Of tags that are in several layouts, the first one's counts. */
export function findRepositories(layouts: readonly string[]): ReadonlyMap<string, Repository> {
  const found = new Map<string, ReturnType<typeof newRepository>>();
  for (const layout of layouts) {
    for (const entry of readLayout(layout)) {
      const name = nameOf(entry, layout);
      if (!name) continue;
      const repository = found.get(name.repository) ?? newRepository();
      found.set(name.repository, repository);
      if (!repository.layouts.includes(layout)) repository.layouts.push(layout);
      if (name.tag !== undefined && !repository.tags.has(name.tag))
        repository.tags.set(name.tag, entry.descriptor.digest);
    }
  }
  return found;
}

function newRepository() {
  return { layouts: [] as string[], tags: new Map<string, string>() };
}

/** The manifest of a tag or digest, with the media type that it names itself. Undefined where there is none. */
export function openManifest(repository: Repository, reference: string) {
  const digest = isDigest(reference) ? reference : repository.tags.get(reference);
  const file = digest === undefined ? undefined : openBlob(repository, digest);
  if (!file || digest === undefined || file.size > maxManifestBytes) return undefined;
  const bytes = readFileSync(file.path);
  const mediaType = mediaTypeOf(bytes);
  return mediaType === undefined ? undefined : { bytes, digest, mediaType };
}

/** The file of a blob in one of the repository's layouts. Undefined where there is none. */
export function openBlob(repository: Repository, digest: string) {
  if (!isDigest(digest)) return undefined;
  for (const layout of repository.layouts) {
    const path = blobPath(layout, digest);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isFile()) return { path, size: found.size };
  }
  return undefined;
}

/** Other tools name an entry by its tag alone; the repository is then called like the directory. */
function nameOf({ name, descriptor }: LayoutEntry, layout: string) {
  const text = name ?? "";
  const colon = text.lastIndexOf(":");
  const isTagOnly = colon < 0 && (text === "" || isTag(text));
  const repository = isTagOnly ? basename(resolve(layout)).toLowerCase() : text.slice(0, Math.max(colon, 0));
  const tag = isTagOnly ? text || undefined : text.slice(colon + 1);
  const isValid =
    isRepository(repository) && (tag === undefined || isTag(tag)) && isDigest(descriptor.digest);
  return isValid ? { repository, tag } : undefined;
}

function mediaTypeOf(bytes: Uint8Array): string | undefined {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value.mediaType === "string") return value.mediaType;
    if (Array.isArray(value.manifests)) return mediaTypes.ociIndex;
    return Array.isArray(value.layers) ? mediaTypes.ociManifest : undefined;
  } catch {
    return undefined;
  }
}
