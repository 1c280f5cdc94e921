import { unlinkSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { sha256Hex } from "../oci/digest.ts";
import { temporaryName, writeFileAtomically } from "../oci/write-file.ts";
import { errorText, SystemError } from "../system-error.ts";
import { type ModuleIndex, type ModuleSource, readModuleIndex, writeModuleIndex } from "./module-index.ts";

/** A module on disk. */
export interface StoredModule {
  readonly path: string;
  /** The SHA-256 of the module, hexadecimal. */
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

/** Modules on disk by the SHA-256 of their bytes, and what URLs stood for when they were last looked at. */
export interface ModuleStore {
  /** The module with that SHA-256; undefined where there is none, or its file is not what it was. */
  find(digest: string): Promise<StoredModule | undefined>;
  put(bytes: Uint8Array): Promise<StoredModule>;
  record(key: string, source: ModuleSource): Promise<void>;
  sources(): ReadonlyMap<string, ModuleSource>;
  /** The modules that were found or put since the start, with when they were last asked for. */
  entries(): readonly (StoredModule & { readonly lastUsed: number })[];
  purge(isKept: (digest: string, lastUsed: number) => boolean): Promise<readonly string[]>;
}

/**
 * Opens a directory as a store, which it need not be yet.
 * @throws SystemError `disk`, as all its functions do
 */
export async function openModuleStore(
  directory: string,
  maxBytes: number,
  warn: (message: string) => void,
): Promise<ModuleStore> {
  const root = resolve(directory);
  const index = await readModuleIndex(root, warn);
  const verified = new Map<string, StoredModule>();
  const save = createSaver(() => writeModuleIndex(root, index), warn);
  return {
    async find(digest) {
      // Before anything is awaited, so that a purge at the same time sees it.
      const before = index.lastUsed.get(digest);
      index.lastUsed.set(digest, Date.now());
      const known = verified.get(digest);
      const module = await readStored(pathOf(root, digest), digest, known, maxBytes);
      if (module) verified.set(digest, module);
      // Unless it was put there meanwhile.
      else if (verified.get(digest) === known) forget(index, verified, digest);
      if (module && before === undefined) await save();
      return module;
    },
    async put(bytes) {
      const digest = sha256Hex(bytes);
      const module = { path: pathOf(root, digest), digest, size: bytes.length };
      await writeFileAtomically(module.path, bytes).catch((error) => {
        throw SystemError.from(error, "disk", `writing module ${module.path}`);
      });
      verified.set(digest, module);
      index.lastUsed.set(digest, Date.now());
      return module;
    },
    record(key, source) {
      index.sources.set(key, source);
      return save();
    },
    sources: () => index.sources,
    entries: () =>
      [...verified.values()].map((entry) => ({ ...entry, lastUsed: index.lastUsed.get(entry.digest) ?? 0 })),
    async purge(isKept) {
      const removed = await removeFiles(root, (digest) => isKept(digest, index.lastUsed.get(digest) ?? 0));
      for (const digest of removed) forget(index, verified, digest);
      await save();
      return removed;
    },
  };
}

function pathOf(root: string, digest: string): string {
  return join(root, "sha256", digest.slice(0, 2), `${digest}.wasm`);
}

function forget(
  { sources, lastUsed }: ModuleIndex,
  verified: Map<string, StoredModule>,
  digest: string,
): void {
  verified.delete(digest);
  lastUsed.delete(digest);
  for (const [key, { module }] of sources) {
    if (module === digest) sources.delete(key);
  }
}

/** A file's bytes are hashed when it is first used, its size is looked at each time. */
async function readStored(
  path: string,
  digest: string,
  known: StoredModule | undefined,
  maxBytes: number,
): Promise<StoredModule | undefined> {
  try {
    const { size } = await stat(path);
    if (known) return known.size === size ? known : undefined;
    if (size > maxBytes || sha256Hex(await readFile(path)) !== digest) return undefined;
    return { path, digest, size };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw SystemError.from(error, "disk", `reading module ${path}`);
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

async function removeFiles(root: string, isKept: (digest: string) => boolean): Promise<readonly string[]> {
  const removed: string[] = [];
  try {
    for (const file of await listFiles(root)) {
      const digest = /([0-9a-f]{64})\.wasm$/.exec(file)?.[1];
      const isRemoved =
        digest === undefined ? temporaryName.test(file) && (await isOld(file)) : !isKept(digest);
      if (!isRemoved) continue;
      // Synchronous: nobody can ask for the module between the decision and its removal.
      unlinkSync(file);
      if (digest !== undefined) removed.push(digest);
    }
  } catch (error) {
    throw SystemError.from(error, "disk", `purging the module cache ${root}`);
  }
  return removed;
}

async function listFiles(root: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, "sha256"), { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    },
  );
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** A file that is being written is young; one that a crash left behind gets old. */
async function isOld(file: string): Promise<boolean> {
  const { mtimeMs } = await stat(file);
  return Date.now() - mtimeMs > 3_600_000;
}
