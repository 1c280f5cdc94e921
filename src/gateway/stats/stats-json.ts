import {
  bucketWidth,
  computePercentiles,
  cumulativeCounts,
  disjointCounts,
  type HistogramCounts,
  histogramBounds,
  lowerBound,
  percentiles,
} from "./histogram.ts";
import type { Stat } from "./select-stats.ts";
import type { BucketMode, Intervals } from "./stats-text.ts";

/** `/stats?format=json`: the figures, and at the end all histograms in one object. */
export function statsJson(stats: readonly Stat[], mode: BucketMode, intervals: Intervals): string {
  const histograms = stats.filter(({ kind }) => kind === "histogram");
  const intervalOf = ({ name }: Stat) => intervals.get(name) ?? [];
  const items = stats
    .filter(({ kind }) => kind !== "histogram")
    // A figure may be larger than what JSON.stringify writes exactly.
    .map(
      ({ name, kind, value }) =>
        `{"name":${JSON.stringify(name)},"value":${kind === "text" ? JSON.stringify(value) : value}}`,
    );
  if (histograms.length > 0)
    items.push(JSON.stringify({ histograms: histogramsJson(histograms, mode, intervalOf) }));
  return `{"stats":[${items.join(",")}]}`;
}

type IntervalOf = (stat: Stat) => HistogramCounts;

function histogramsJson(stats: readonly Stat[], mode: BucketMode, intervalOf: IntervalOf): object {
  switch (mode) {
    case "summary":
      return {
        supported_quantiles: percentiles,
        computed_quantiles: stats.map((stat) => ({
          name: stat.name,
          values: percentileValues(stat.histogram, intervalOf(stat)),
        })),
      };
    case "detailed":
      return {
        supported_percentiles: percentiles,
        details: stats.map((stat) => ({
          name: stat.name,
          totals: stat.histogram.map(bucketJson),
          intervals: intervalOf(stat).map(bucketJson),
          percentiles: percentileValues(stat.histogram, intervalOf(stat)),
        })),
      };
    default:
      return stats
        .filter(({ histogram }) => histogram.length > 0)
        .map((stat) => ({ name: stat.name, buckets: boundsJson(stat.histogram, intervalOf(stat), mode) }));
  }
}

function percentileValues(cumulative: HistogramCounts, interval: HistogramCounts) {
  const [all, last] = [computePercentiles(cumulative), computePercentiles(interval)];
  return percentiles.map((_, i) => ({ cumulative: all?.[i] ?? null, interval: last?.[i] ?? null }));
}

function bucketJson([key, count]: HistogramCounts[number]) {
  return { lower_bound: lowerBound(key), width: bucketWidth(key), count };
}

function boundsJson(cumulative: HistogramCounts, interval: HistogramCounts, mode: BucketMode) {
  const countsOf = mode === "cumulative" ? cumulativeCounts : disjointCounts;
  const [all, last] = [countsOf(cumulative), countsOf(interval)];
  return histogramBounds.map((bound, i) => ({ upper_bound: bound, interval: last[i], cumulative: all[i] }));
}
