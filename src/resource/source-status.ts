/** How a source that is not on this machine is doing, for `/ready`, `/api/status` and metrics. */
export interface SourceStatus {
  readonly kind: "kubernetes";
  /** The API server's address. */
  readonly server: string;
  /** Whether everything was read once: before that there is no state. */
  readonly synced: boolean;
  /** Whether every collection is being watched; otherwise the state may be out of date. */
  readonly watching: boolean;
  /** When the API server last said anything; RFC 3339. */
  readonly lastContact: string | undefined;
  readonly collections: readonly CollectionStatus[];
}

export interface CollectionStatus {
  /** `wasmplugins.extensions.higress.io`, `secrets`. Secrets stand together, however many are followed. */
  readonly resource: string;
  /** Absent for a whole cluster. */
  readonly namespace?: string;
  readonly objects: number;
  readonly synced: boolean;
  readonly watching: boolean;
  /** Why it does not go on at the moment, and what to do. */
  readonly failure?: string;
  readonly lists: number;
  /** Lists because the API server had forgotten the version (410). */
  readonly relists: number;
  readonly watchRestarts: number;
  /** Watches whose connection was dead, or that did not end when they should have. */
  readonly stalls: number;
  readonly failures: number;
}

/** Why a source has no state yet, for people. */
export function explainNotSynced(status?: SourceStatus): string {
  const waiting = status?.collections.filter(({ synced }) => !synced) ?? [];
  const reasons = waiting.map(({ resource, failure }) => `${resource}: ${failure ?? "being read"}`);
  return `the resources are not read yet${reasons.length > 0 ? `; ${reasons.join("; ")}` : ""}`;
}
