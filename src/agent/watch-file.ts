import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 1000;

/**
 * Calls `onChange` when another file is at `path` than before, or it was changed, until the signal aborts. It looks once
 * in a second, through symbolic links, and waits until nothing changes any more; a path with nothing at it is no change.
 */
export async function watchFile(
  path: string,
  onChange: () => void,
  signal: AbortSignal,
  everyMs = pollMs,
): Promise<void> {
  let known = identityOf(path);
  let last = known;
  while (!signal.aborted) {
    await sleep(everyMs, undefined, { signal, ref: false }).catch(() => {});
    const now = identityOf(path);
    const isSettled = now !== undefined && now === last;
    last = now;
    if (signal.aborted || !isSettled || now === known) continue;
    known = now;
    onChange();
  }
}

function identityOf(path: string): string | undefined {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs].join(":");
  } catch {
    return undefined;
  }
}
