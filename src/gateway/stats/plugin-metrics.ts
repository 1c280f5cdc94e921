import { MetricKind } from "../../proxy-wasm/abi.ts";
import type { HistogramSnapshot, MetricSnapshot, MetricStore } from "../../proxy-wasm/metric-store.ts";
import { bucketKey, type HistogramCounts } from "./histogram.ts";
import { plainScope } from "./stat-scope.ts";
import type { ScopeSnapshot } from "./stats-snapshot.ts";

/** The metrics of plugins, under Envoy's prefix. All threads share them: they are read once. */
export function pluginMetrics(metrics: readonly MetricSnapshot[]): ScopeSnapshot {
  const valuesOf = (kind: MetricKind) =>
    Object.fromEntries(
      metrics.flatMap((metric) =>
        "value" in metric && metric.kind === kind ? [[metric.name, metric.value]] : [],
      ),
    );
  const histograms = metrics.flatMap((metric) => ("histogram" in metric ? [metric] : []));
  return {
    ...plainScope("wasmcustom.", {
      counters: valuesOf(MetricKind.Counter),
      gauges: valuesOf(MetricKind.Gauge),
      histograms: Object.fromEntries(
        histograms.map(({ name, histogram }) => [name, countsAtBounds(histogram)]),
      ),
    }),
    metricPrefix: "",
    // Unlike Envoy: the sum is that of the values, and not of the middles of their buckets.
    sums: Object.fromEntries(histograms.map(({ name, histogram }) => [name, histogram.sum])),
    isCustom: true,
  };
}

/** Takes from each counter what it has; what comes meanwhile stays. */
export function resetPluginCounters(metrics: MetricStore): void {
  for (const [index, metric] of metrics.snapshot().entries()) {
    // Ids are numbers in the order of the snapshot; recording adds to a counter.
    if ("value" in metric && metric.kind === MetricKind.Counter) metrics.record(index + 1, -metric.value);
  }
}

/** Plugins' histograms count up to bounds; here each value stands for the bound that it is below. */
function countsAtBounds({ buckets, count }: HistogramSnapshot): HistogramCounts {
  const steps = buckets.map(
    ({ upTo, count: total }, i) => [upTo, total - (buckets[i - 1]?.count ?? 0)] as const,
  );
  const last = buckets.at(-1);
  const above = [(last?.upTo ?? 0) * 2, count - (last?.count ?? 0)] as const;
  return [...steps, above].filter(([, own]) => own > 0).map(([upTo, own]) => [bucketKey(upTo), own] as const);
}
