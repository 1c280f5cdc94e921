import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { SystemError } from "../../system-error.ts";
import { findPluginSource, isPluginFolder, type PluginSource } from "../plugin-source.ts";

const deepest = 4;
/** Folders that hold what tools have made. */
const made: ReadonlySet<string> = new Set(["build", "node_modules", "target"]);

/** Whether a folder below a plugin's is none of its author's: what compilers write, and what begins with a dot. */
export function isMade(name: string): boolean {
  return made.has(name) || name.startsWith(".");
}

/**
 * Finds the plugins at or below a folder, sorted by their paths. Within a plugin's folder no other is looked for.
 * @throws SystemError `not-found` where there is none, or a folder is in two languages; `disk`
 */
export async function findPlugins(directory: string): Promise<readonly PluginSource[]> {
  const folders = await foldersOf(directory, 0);
  // Says what a plugin's folder is.
  if (folders.length === 0) return [await findPluginSource(directory)];
  return Promise.all(folders.map(findPluginSource));
}

async function foldersOf(directory: string, depth: number): Promise<string[]> {
  if (await isPluginFolder(directory)) return [directory];
  if (depth === deepest) return [];
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw SystemError.from(error, error.code === "ENOENT" ? "not-found" : "disk", `looking for plugins`);
  });
  const names = entries.filter((entry) => entry.isDirectory() && !isMade(entry.name)).map(({ name }) => name);
  const below = names.sort().map((name) => foldersOf(join(directory, name), depth + 1));
  return (await Promise.all(below)).flat();
}

/** The test files of a plugin: *.yaml and *.yml below its folder `test`. */
export async function findTestFiles(directory: string): Promise<readonly string[]> {
  const folder = join(directory, "test");
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names
    .filter((name) => /\.ya?ml$/.test(name) && !basename(name).startsWith("."))
    .sort()
    .map((name) => join(folder, name));
}
