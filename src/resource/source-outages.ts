import type { Log } from "../log.ts";
import type { CollectionStatus } from "./source-status.ts";

/** Logs once what keeps collections from going on, and once that they go on again. */
export function createOutageLog(server: string, log: Log): (statuses: readonly CollectionStatus[]) => void {
  let said: ReadonlySet<string> = new Set();
  return (statuses) => {
    const failing = statuses.filter(({ failure }) => failure !== undefined);
    for (const { resource, namespace, failure, synced } of failing) {
      const key = `${resource} ${namespace} ${synced}`;
      if (said.has(key)) continue;
      const kept = synced ? "; what was read of it stays in effect" : "";
      log.warn({ resource, ...(namespace && { namespace }) }, `${failure}${kept}`);
    }
    if (failing.length === 0 && said.size > 0) log.info({ server }, "all resources are watched again");
    said = new Set(failing.map(({ resource, namespace, synced }) => `${resource} ${namespace} ${synced}`));
  };
}
