import { type HistogramCounts, mergeCounts } from "./histogram.ts";

export type Label = readonly [name: string, value: string];

/** Some of Envoy's are of 64 bits. */
export type Figure = number | bigint;

/** Figures of one thing, such as a cluster, as plain data that may go from thread to thread. */
export interface ScopeSnapshot {
  /** As in `cluster.up.`; with the names below behind it these are Envoy's names. */
  readonly prefix: string;
  /** The same without what the labels say, as in `cluster.`: of this Prometheus' names are made. */
  readonly metricPrefix: string;
  /** Prometheus' labels, the innermost first. */
  readonly labels: readonly Label[];
  readonly counters: Readonly<Record<string, Figure>>;
  readonly gauges: Readonly<Record<string, Figure>>;
  readonly texts: Readonly<Record<string, string>>;
  readonly histograms: Readonly<Record<string, HistogramCounts>>;
  /** Exact sums of histograms, where they are known. */
  readonly sums?: Readonly<Record<string, bigint>>;
  /** Names in Prometheus begin with these, and not with `envoy_`. */
  readonly isCustom?: boolean;
}

/** All figures of a thread, or of several together. */
export type StatsSnapshot = readonly ScopeSnapshot[];

/** What threads have counted together: counters, gauges and histograms are sums, of texts there is one. */
export function mergeStats(snapshots: readonly StatsSnapshot[]): StatsSnapshot {
  const byPrefix = new Map<string, ScopeSnapshot>();
  for (const scope of snapshots.flat()) {
    const known = byPrefix.get(scope.prefix);
    byPrefix.set(scope.prefix, known ? mergeScopes(known, scope) : scope);
  }
  return [...byPrefix.values()];
}

/** What stays of a thread that is gone: what it has counted, and nothing that it had open. */
export function countedStats(snapshot: StatsSnapshot): StatsSnapshot {
  return snapshot.map((scope) => ({ ...scope, gauges: {}, texts: {} }));
}

function mergeScopes(a: ScopeSnapshot, b: ScopeSnapshot): ScopeSnapshot {
  return {
    ...a,
    counters: mergeRecords(a.counters, b.counters, add),
    gauges: mergeRecords(a.gauges, b.gauges, add),
    texts: { ...b.texts, ...a.texts },
    histograms: mergeRecords(a.histograms, b.histograms, (one, other) => mergeCounts([one, other])),
  };
}

function add(a: Figure, b: Figure): Figure {
  return typeof a === "number" && typeof b === "number" ? a + b : BigInt(a) + BigInt(b);
}

function mergeRecords<T>(
  a: Readonly<Record<string, T>>,
  b: Readonly<Record<string, T>>,
  merge: (a: T, b: T) => T,
): Record<string, T> {
  const merged: Record<string, T> = { ...a };
  for (const [name, value] of Object.entries(b))
    merged[name] = Object.hasOwn(a, name) ? merge(a[name]!, value) : value;
  return merged;
}
