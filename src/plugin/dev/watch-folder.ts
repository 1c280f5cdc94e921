import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Log } from "../../log.ts";
import { createDirectoryWatches } from "../../resource/directory-watches.ts";
import { isMade } from "./find-plugins.ts";

const deepest = 16;

export interface FolderWatchOptions {
  /** The path of something that was created, changed or removed. */
  readonly onChange: (path: string) => void;
  /** A folder within, of which nothing is told. */
  readonly except: string;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** Watches what the author of a plugin does below its folder, an absolute path. */
export function watchFolder(folder: string, { onChange, except, signal, log }: FolderWatchOptions): void {
  const watches = createDirectoryWatches(onEvent, signal, log);
  watchBelow(folder, 0);
  // A folder that takes this one's place shows there.
  watches.add(dirname(folder));

  function onEvent(directory: string, name: string | undefined): void {
    const path = name === undefined ? directory : join(directory, name);
    if ((name !== undefined && isMade(name)) || path === except) return;
    if (path !== folder && !path.startsWith(`${folder}/`)) return;
    // What is in a folder by the time that it is watched has no events of its own.
    watchBelow(path, 0);
    onChange(path);
  }

  function watchBelow(path: string, depth: number): void {
    if (path === except || depth > deepest) return;
    watches.add(path);
    for (const name of foldersIn(path)) watchBelow(join(path, name), depth + 1);
  }
}

/** None where there is no folder. */
function foldersIn(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && !isMade(entry.name)).map(({ name }) => name);
  } catch {
    return [];
  }
}
