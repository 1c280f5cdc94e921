import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import type { KubernetesClient } from "./client.ts";
import { type LeaseRecord, leasesPath, readLease } from "./lease-lock.ts";
import { followCollection } from "./list-watch.ts";

export interface LeaseWatchOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly name: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A watch of one Lease. What it says is true but may be late, and it is silent where there is no watch to be had. */
export interface LeaseWatch {
  /** The Lease as it was last told; undefined where there is none, or nothing was told yet. */
  readonly lease: LeaseRecord | undefined;
  /** Resolves with true once the Lease is another than at the last call, with false after so many milliseconds. */
  changesWithin(ms: number): Promise<boolean>;
}

/** So long at most between two attempts to watch: where the right is missing it stays missing, and reading does. */
const longestRetryMs = 30_000;

/** Watches a Lease until the signal aborts. */
export function watchLease({ client, namespace, name, log, signal }: LeaseWatchOptions): LeaseWatch {
  let waiting = new AbortController();
  let told = 0;
  let failure: string | undefined;
  const collection = followCollection<LeaseRecord>({
    client,
    path: leasesPath(namespace),
    fieldSelector: `metadata.name=${name}`,
    keep: readLease,
    onChange() {
      if (collection.revision !== told) waiting.abort();
      const { failure: error } = collection.state;
      if (error && error !== failure)
        log.info({ lease: `${namespace}/${name}`, error }, "the Lease is not watched, and read instead");
      failure = error ?? failure;
    },
    patience: { longestRetryMs },
    signal,
  });
  signal.addEventListener("abort", () => waiting.abort(), { once: true });
  return {
    get lease() {
      return collection.values()[0];
    },
    async changesWithin(ms) {
      waiting = new AbortController();
      if (collection.revision === told && !signal.aborted)
        await sleep(ms, undefined, { signal: waiting.signal }).catch(() => {});
      const changed = collection.revision !== told;
      told = collection.revision;
      return changed;
    },
  };
}
