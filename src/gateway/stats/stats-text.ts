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

/** How histograms are shown. */
export type BucketMode = "summary" | "cumulative" | "disjoint" | "detailed";

/** What histograms recorded in the last whole interval, by name. */
export type Intervals = ReadonlyMap<string, HistogramCounts>;

/** `/stats` as text. */
export function statsText(stats: readonly Stat[], mode: BucketMode, intervals: Intervals): string {
  return stats
    .map((stat) => `${stat.name}:${valueText(stat, mode, intervals.get(stat.name) ?? [])}\n`)
    .join("");
}

function valueText({ kind, value, histogram }: Stat, mode: BucketMode, interval: HistogramCounts): string {
  if (kind === "text") return ` ${JSON.stringify(value)}`;
  if (kind !== "histogram") return ` ${value}`;
  if (histogram.length === 0) return " No recorded values";
  if (mode === "summary") return ` ${summary(histogram, interval)}`;
  if (mode !== "detailed") return ` ${boundsText(histogram, interval, mode)}`;
  const lines = [
    `totals=${bucketsText(histogram)}`,
    `intervals=${bucketsText(interval)}`,
    `summary=${summary(histogram, interval)}`,
  ];
  return lines.map((line) => `\n  ${line}`).join("");
}

function summary(cumulative: HistogramCounts, interval: HistogramCounts): string {
  const [all, last] = [computePercentiles(cumulative), computePercentiles(interval)];
  return percentiles.map((p, i) => `P${p}(${last?.[i] ?? "nan"},${all?.[i] ?? "nan"})`).join(" ");
}

function boundsText(cumulative: HistogramCounts, interval: HistogramCounts, mode: BucketMode): string {
  const countsOf = mode === "cumulative" ? cumulativeCounts : disjointCounts;
  const [all, last] = [countsOf(cumulative), countsOf(interval)];
  return histogramBounds.map((bound, i) => `B${sixDigits(bound)}(${last[i]},${all[i]})`).join(" ");
}

function bucketsText(counts: HistogramCounts): string {
  return counts
    .map(([key, count]) => `${sixDigits(lowerBound(key))},${sixDigits(bucketWidth(key))}:${count}`)
    .join(", ");
}

/** As `%g` of C: six digits, and `1.8e+06` beyond. */
export function sixDigits(value: number): string {
  if (value !== 0 && (value >= 1e6 || value < 1e-4)) {
    const [digits = "", exponent = ""] = value.toExponential(5).split("e");
    return `${Number(digits)}e${exponent.replace(/^([+-])(\d)$/, "$10$2")}`;
  }
  return String(Number(value.toPrecision(6)));
}
