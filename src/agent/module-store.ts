import { rmSync } from "node:fs";
import { resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { getOrCreate } from "../get-or-create.ts";
import { sha256Hex } from "../oci/digest.ts";
import { writeFileAtomically } from "../oci/write-file.ts";
import { errorText, SystemError } from "../system-error.ts";
import {
  type ListedModule,
  listModules,
  modulePath,
  readStored,
  removeLeftovers,
  type StoredModule,
} from "./module-files.ts";
import { type ModuleIndex, type ModuleSource, readModuleIndex, writeModuleIndex } from "./module-index.ts";
import { chooseRemovals, type PurgePolicy, sizeOfAll, type UsedModule } from "./purge-policy.ts";

/** What a purge did. */
export interface Purged {
  readonly removed: readonly StoredModule[];
  /** Of the modules that are left, in bytes. */
  readonly left: number;
}

/** Modules on disk by the SHA-256 of their bytes, and what URLs stood for when they were last looked at. */
export interface ModuleStore {
  /** The module with that SHA-256; undefined where there is none, or its file is not what it was. */
  find(digest: string): Promise<StoredModule | undefined>;
  /** Stores a module. `describe` says where one that comes from an image is from: that is noted first. */
  put(bytes: Uint8Array, describe?: (digest: string) => ModuleSource): Promise<StoredModule>;
  record(key: string, source: ModuleSource): Promise<void>;
  sources(): ReadonlyMap<string, ModuleSource>;
  /** By the digest of an image's manifest: what became of the image, as far as its module is still there. */
  images(): ReadonlyMap<string, ModuleSource>;
  /** The modules that were found or put since the start, with when they were last asked for. */
  entries(): readonly UsedModule[];
  /** Of all modules, in bytes. */
  size(): number;
  /**
   * Modules that were asked for at `usedSince` (milliseconds since 1970) or later stay too, as they may be about to take
   * effect. It is asked in the moment in which it is decided.
   */
  purge(policy: PurgePolicy, usedSince: () => number): Promise<Purged>;
}

interface Contents {
  readonly root: string;
  readonly index: ModuleIndex;
  /** Those whose bytes were looked at. */
  readonly verified: Map<string, StoredModule>;
  /** In bytes, of all that are there. */
  readonly sizes: Map<string, number>;
  /** Those whose files are being written: they are seen on disk before all else is known of them. */
  readonly writing: Set<string>;
}

/**
 * Opens a directory as a store, which it need not be yet. Nobody else may use it.
 * @throws SystemError `disk`, as all its functions do
 */
export async function openModuleStore(
  directory: string,
  maxBytes: number,
  warn: (message: string) => void,
): Promise<ModuleStore> {
  const contents = await openContents(resolve(directory), warn);
  const { root, index, verified, sizes } = contents;
  const save = createSaver(() => writeModuleIndex(root, index), warn);
  const find = async (digest: string) => {
    // Before anything is awaited, so that a purge at the same time sees it; and at the end for who came meanwhile.
    const before = index.lastUsed.get(digest);
    index.lastUsed.set(digest, Date.now());
    const known = verified.get(digest);
    const module = await readStored(modulePath(root, digest), digest, known, maxBytes);
    if (module) note(contents, module);
    // Unless it was put there meanwhile.
    else if (verified.get(digest) === known) forget(contents, digest);
    if (module && before === undefined) await save();
    return module;
  };
  return {
    find,
    async put(bytes, describe) {
      const digest = sha256Hex(bytes);
      // A file that is there needs no room on the disk.
      const stored = sizes.has(digest) ? await find(digest) : undefined;
      if (stored && !describe) return stored;
      const source = describe?.(digest);
      const manifest = source?.digests[0];
      if (source && manifest !== undefined) {
        // Before the module is there: whatever happens then, one that is whole is never pulled again.
        setNewest(index.images, manifest, source);
        await save();
      }
      const module = stored ?? (await write(contents, digest, bytes));
      // Who looked for the module before it was there has forgotten it.
      if (source && manifest !== undefined) setNewest(index.images, manifest, source);
      return module;
    },
    async record(key, source) {
      const isKnown = isDeepStrictEqual(index.sources.get(key), source);
      setNewest(index.sources, key, source);
      // Nobody waits for the disk where nothing new is learned: that is every edit of a plugin that is always pulled.
      if (!isKnown) await save();
    },
    sources: () => index.sources,
    images: () => index.images,
    entries: () =>
      [...verified.values()].map((module) => ({ ...module, lastUsed: lastUsedOf(index, module) })),
    size: () => [...sizes.values()].reduce((sum, size) => sum + size, 0),
    async purge(policy, usedSince) {
      const { isIndexChanged, ...purged } = await purge(contents, policy, usedSince);
      if (isIndexChanged) await save();
      return purged;
    },
  };
}

async function openContents(root: string, warn: (message: string) => void): Promise<Contents> {
  const index = await readModuleIndex(root, warn);
  try {
    await removeLeftovers(root);
    const modules = await listModules(root);
    const sizes = new Map(modules.map(({ digest, size }) => [digest, size]));
    // A crash may come between a module and the note of its use, or cost the index: what is there is not old for that.
    for (const { digest, written } of modules) getOrCreate(index.lastUsed, digest, () => written);
    for (const map of [index.sources, index.images]) {
      for (const [key, { module }] of map) if (!sizes.has(module)) map.delete(key);
    }
    for (const digest of index.lastUsed.keys()) if (!sizes.has(digest)) index.lastUsed.delete(digest);
    return { root, index, verified: new Map(), sizes, writing: new Set() };
  } catch (error) {
    throw SystemError.from(error, "disk", `opening the module cache ${root}`);
  }
}

async function write(contents: Contents, digest: string, bytes: Uint8Array): Promise<StoredModule> {
  const module = { path: modulePath(contents.root, digest), digest, size: bytes.length };
  contents.writing.add(digest);
  try {
    await writeFileAtomically(module.path, bytes);
    note(contents, module);
    return module;
  } catch (error) {
    throw SystemError.from(error, "disk", `writing module ${module.path} of ${module.size} bytes`);
  } finally {
    contents.writing.delete(digest);
  }
}

/** Of URLs and of images, in numbers of them. What is forgotten costs a look at the registry, or a pull. */
const maxKnown = 10_000;

function setNewest(map: Map<string, ModuleSource>, key: string, source: ModuleSource): void {
  map.delete(key);
  map.set(key, source);
  const [oldest] = map.keys();
  if (map.size > maxKnown && oldest !== undefined) map.delete(oldest);
}

function lastUsedOf(
  { lastUsed }: ModuleIndex,
  { digest, written = 0 }: StoredModule & Partial<ListedModule>,
): number {
  return lastUsed.get(digest) ?? written;
}

function note({ index, verified, sizes }: Contents, module: StoredModule): void {
  verified.set(module.digest, module);
  sizes.set(module.digest, module.size);
  index.lastUsed.set(module.digest, Date.now());
}

function forget({ index, verified, sizes }: Contents, digest: string): void {
  verified.delete(digest);
  sizes.delete(digest);
  index.lastUsed.delete(digest);
  for (const map of [index.sources, index.images]) {
    for (const [key, { module }] of map) if (module === digest) map.delete(key);
  }
}

/** How exact it is noted when a module in effect was last used, in milliseconds. */
const touchMs = 3_600_000;

async function purge(contents: Contents, policy: PurgePolicy, usedSince: () => number) {
  const { root, index, writing } = contents;
  try {
    const found = await listModules(root);
    // From here on synchronous: nobody can ask for a module between the decision and its removal.
    const inEffect = policy.inEffect();
    const since = usedSince();
    const now = Date.now();
    const touched = found.filter(
      (module) => inEffect.has(module.digest) && lastUsedOf(index, module) < now - touchMs,
    );
    for (const { digest } of touched) index.lastUsed.set(digest, now);
    const modules = found.map((module) => ({ ...module, lastUsed: lastUsedOf(index, module) }));
    const removed = chooseRemovals(modules, {
      isKept: ({ digest, lastUsed }) => inEffect.has(digest) || writing.has(digest) || lastUsed >= since,
      oldest: now - policy.maxAgeMs,
      maxBytes: policy.maxBytes,
    });
    for (const { path, digest } of removed) {
      rmSync(path, { force: true });
      forget(contents, digest);
    }
    const left = sizeOfAll(found) - sizeOfAll(removed);
    return { removed, left, isIndexChanged: touched.length + removed.length > 0 };
  } catch (error) {
    throw SystemError.from(error, "disk", `purging the module cache ${root}`);
  }
}

/** Saves at most one at a time, and once more for all who asked meanwhile. What could not be saved is saved with the next. */
function createSaver(write: () => Promise<void>, warn: (message: string) => void): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  let queued: Promise<void> | undefined;
  const run = () => {
    queued = undefined;
    // The module itself is on disk and in use; without the index a restart has to ask the registry again, no more.
    running = write().catch((error) =>
      warn(`the module cache's index could not be written: ${errorText(error)}`),
    );
    return running;
  };
  return () => {
    queued ??= running.then(run);
    return queued;
  };
}
