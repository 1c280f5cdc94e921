import { type FSWatcher, type Stats, watch } from "node:fs";
import { basename } from "node:path";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import { statPath } from "./read-file.ts";

/** The directories that are being watched, one by one and not recursively. */
export interface DirectoryWatches {
  /** Watches a directory, and afresh if another one has taken its path. */
  add(directory: string): void;
  /** Stops watching a directory and all below it. */
  removeBelow(directory: string): void;
}

interface Watch {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

/**
 * Calls `onEvent` for each entry that is created, changed or removed in a watched directory, or without a name when it is
 * not known which. Ends with the signal. A directory that cannot be watched is logged, and left to the rescan.
 */
export function createDirectoryWatches(
  onEvent: (directory: string, name: string | undefined) => void,
  signal: AbortSignal,
  log: Log,
): DirectoryWatches {
  const watches = new Map<string, Watch>();
  const refused = new Set<string>();

  const close = (directory: string) => {
    watches.get(directory)?.watcher.close();
    watches.delete(directory);
  };

  const open = (directory: string): FSWatcher => {
    const watcher = watch(directory, (type, name) => {
      // A directory that was itself removed or renamed reports its own name, and then nothing any more.
      if (type === "rename" && name === basename(directory) && watches.get(directory)?.watcher === watcher) {
        close(directory);
        onEvent(directory, undefined);
      }
      onEvent(directory, name ?? undefined);
    });
    watcher.on("error", (error) => {
      log.debug({ directory, error: errorText(error) }, "the watch of a directory ended");
      close(directory);
      onEvent(directory, undefined);
    });
    return watcher;
  };

  signal.addEventListener("abort", () => [...watches.keys()].forEach(close), { once: true });

  return {
    add(directory) {
      const stats = statPath(directory);
      if (signal.aborted || !stats?.isDirectory()) return;
      const identity = identityOf(stats);
      if (watches.get(directory)?.identity === identity) return;
      close(directory);
      try {
        watches.set(directory, { watcher: open(directory), identity });
      } catch (error) {
        if (!refused.has(directory))
          log.warn(
            { directory, error: errorText(error) },
            "cannot watch a directory; it is looked at every 5 s",
          );
        refused.add(directory);
      }
    },
    removeBelow(directory) {
      for (const path of [...watches.keys()])
        if (path === directory || path.startsWith(`${directory}/`)) close(path);
    },
  };
}

function identityOf({ dev, ino, birthtimeMs }: Stats): string {
  return `${dev}:${ino}:${birthtimeMs}`;
}
