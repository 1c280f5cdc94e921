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

/** What is not 0: zeros follow from the configuration, and need not go from thread to thread. */
export function withoutZeros(snapshot: StatsSnapshot): StatsSnapshot {
  return snapshot.map((scope) => ({
    ...scope,
    counters: onlyUsed(scope.counters),
    gauges: onlyUsed(scope.gauges),
    histograms: Object.fromEntries(
      Object.entries(scope.histograms).filter(([, counts]) => counts.length > 0),
    ),
  }));
}

function onlyUsed(figures: Readonly<Record<string, Figure>>): Record<string, Figure> {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== 0));
}

/** Figures of the configuration, of which each thread has all, and of limits that each thread has for itself. */
const ofEachThread =
  /^(membership_|max_host_weight$|default\.total_match_count$|circuit_breakers\.|server_ssl_socket_factory\.)/;

function mergeFigures(a: Figure, b: Figure, name: string): Figure {
  if (ofEachThread.test(name)) return a > b ? a : b;
  return add(a, b);
}

function mergeScopes(a: ScopeSnapshot, b: ScopeSnapshot): ScopeSnapshot {
  return {
    ...a,
    counters: mergeRecords(a.counters, b.counters, mergeFigures),
    gauges: mergeRecords(a.gauges, b.gauges, mergeFigures),
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
  merge: (a: T, b: T, name: string) => T,
): Record<string, T> {
  const merged: Record<string, T> = { ...a };
  for (const [name, value] of Object.entries(b))
    merged[name] = Object.hasOwn(a, name) ? merge(a[name]!, value, name) : value;
  return merged;
}
