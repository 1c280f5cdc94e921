import type { Stats } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { sha256Hex } from "../oci/digest.ts";
import { temporaryName } from "../oci/write-file.ts";
import { SystemError } from "../system-error.ts";

/** A module on disk. */
export interface StoredModule {
  readonly path: string;
  /** The SHA-256 of the module, hexadecimal. */
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

/** The file of the module with that SHA-256. */
export function modulePath(root: string, digest: string): string {
  return join(root, "sha256", digest.slice(0, 2), `${digest}.wasm`);
}

/** A module on disk, as a directory lists it. */
export interface ListedModule extends StoredModule {
  /** When it was written; milliseconds since 1970. */
  readonly written: number;
}

/** The files below a store's directory that are named as modules are; what they hold is not looked at. */
export async function listModules(root: string): Promise<readonly ListedModule[]> {
  const modules: ListedModule[] = [];
  for (const path of await listFiles(join(root, "sha256"))) {
    const digest = /([0-9a-f]{64})\.wasm$/.exec(path)?.[1];
    const found = digest === undefined ? undefined : await statIfThere(path);
    if (digest !== undefined && found)
      modules.push({ path, digest, size: found.size, written: found.mtimeMs });
  }
  return modules;
}

/** Removes what a crash left of files that were being written, beside the index as among the modules. */
export async function removeLeftovers(root: string): Promise<void> {
  for (const path of await listFiles(root)) {
    if (temporaryName.test(path)) await rm(path, { force: true });
  }
}

/**
 * A module, if its file is there and what it was. Its bytes are hashed unless it is `known`; its size is looked at each
 * time.
 * @throws SystemError `disk`
 */
export async function readStored(
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
    if (isAbsence(error)) return undefined;
    throw SystemError.from(error, "disk", `reading module ${path}`);
  }
}

async function listFiles(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch((error) => {
    if (isAbsence(error)) return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
