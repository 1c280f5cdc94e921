import { countsOf, type Histogram } from "./histogram.ts";
import type { Label, ScopeSnapshot } from "./stats-snapshot.ts";

/** Figures that are being counted: plain numbers in objects that are made once, by Envoy's names. */
export interface StatScope<C extends object = object, G extends object = object, H extends object = object> {
  /** As in `cluster.up.`. */
  readonly prefix: string;
  /** The same without what the labels say, as in `cluster.`. */
  readonly metricPrefix: string;
  readonly labels: readonly Label[];
  readonly counters: C;
  readonly gauges: G;
  /** Each is a Histogram. */
  readonly histograms: H;
}

/** What is worked out when somebody asks. */
export type Figures = Partial<Pick<ScopeSnapshot, "counters" | "gauges" | "texts" | "histograms">>;

export function snapshotScope(scope: StatScope, more: Figures = {}): ScopeSnapshot {
  const { prefix, metricPrefix, labels, counters, gauges } = scope;
  const histograms = Object.entries(scope.histograms as Record<string, Histogram>);
  return {
    prefix,
    metricPrefix,
    labels,
    counters: { ...counters, ...more.counters },
    gauges: { ...gauges, ...more.gauges },
    texts: more.texts ?? {},
    histograms: {
      ...Object.fromEntries(histograms.map(([name, histogram]) => [name, countsOf(histogram)])),
      ...more.histograms,
    },
  };
}

/** A scope of figures that are worked out only when somebody asks. */
export function plainScope(prefix: string, figures: Figures, labels: readonly Label[] = []): ScopeSnapshot {
  const none = { counters: {}, gauges: {}, texts: {}, histograms: {} };
  return { prefix, metricPrefix: prefix, labels, ...none, ...figures };
}

/** `/reset_counters`: gauges and histograms stay. */
export function resetCounters(counters: object): void {
  const own = counters as Record<string, number>;
  for (const name of Object.keys(own)) own[name] = 0;
}
