import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./objects.ts";

/** How patient a collection is. All in milliseconds. */
export interface Patience {
  /** The first waiting time after a failure, and the longest. */
  readonly retryMs: number;
  readonly longestRetryMs: number;
  /**
   * How long a watch lasts at most before it is asked for anew. A quiet one says nothing at all, no bookmark either. Over
   * HTTP/2 pings show that its connection lives; over HTTP/1.1 only its end does, so this is how long a stalled one may
   * stay unnoticed there.
   */
  readonly watchMs: number;
  /** How much later than its end a watch may end, before it counts as stalled. */
  readonly overdueMs: number;
  /** For one page of a list. */
  readonly listMs: number;
  /** How long a resource has to be unknown to the server until what was read of it is given up. */
  readonly goneMs: number;
}

export const defaultPatience: Patience = {
  retryMs: 250,
  longestRetryMs: 5000,
  watchMs: 60_000,
  overdueMs: 10_000,
  listMs: 30_000,
  goneMs: 30_000,
};

export interface CollectionOptions<T> {
  readonly client: KubernetesClient;
  /** `/apis/group/version/plural` or `/api/v1/namespaces/name/plural`. */
  readonly path: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** What is kept of an object; `before` is what was kept of it until now. Called for objects that changed only. */
  readonly keep: (object: KubernetesObject, before: T | undefined) => T;
  /** Is called after what is kept, or the state, became another. */
  readonly onChange: () => void;
  /** Is called when a watch stalled: others over the same network may be as deaf. */
  readonly onStall?: () => void;
  /** How long to wait at least for a right that is missing, in milliseconds. */
  readonly refusedPauseMs?: () => number;
  readonly signal: AbortSignal;
  readonly patience?: Partial<Patience>;
}

/** What there is to know of a collection besides its items. Counters only grow. */
export interface CollectionState {
  readonly path: string;
  /** Whether the items were complete at least once: from then on they are the last that is known. */
  readonly synced: boolean;
  /** Whether a watch stands, or has ended as it should and is being asked for anew. */
  readonly watching: boolean;
  /** When the server last said anything, in milliseconds since 1970. */
  readonly lastContact: number | undefined;
  /** The kind is unknown to the server: its CRD is not there. */
  readonly absent: boolean;
  /** Why it does not go on at the moment. */
  readonly failure: string | undefined;
  /** That is for want of a right (403). */
  readonly refused: boolean;
  readonly lists: number;
  /** Lists because the server had forgotten the version (410). */
  readonly relists: number;
  /** Watches after the first, however the one before ended. */
  readonly watchRestarts: number;
  /** Watches whose connection was dead, or that did not end when they should have. */
  readonly stalls: number;
  readonly failures: number;
}

/** The objects of a collection of the API, followed. */
export interface Collection<T> {
  /** What is kept of each object. An object that did not change keeps what was made of it, and its place. */
  values(): T[];
  readonly size: number;
  /** Another number whenever the values are other ones. */
  readonly revision: number;
  readonly state: CollectionState;
  /** Ends the watch that there is, unless it began just now, and begins a new one at the last version seen. */
  resume(): void;
}
