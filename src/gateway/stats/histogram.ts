/**
 * Values counted in buckets of two significant digits, as circllhist has them in Envoy: 0 has one of its own, and there
 * are ninety for each power of ten. The key of a bucket is its exponent times 100 and its two digits.
 */
export type Histogram = Map<number, number>;

/** Plain data: keys and counts, in the order of the keys. */
export type HistogramCounts = readonly (readonly [key: number, count: number])[];

const zeroKey = -1;

/** Counts a value that is not negative. Milliseconds, mostly. */
export function record(histogram: Histogram, value: number): void {
  const key = bucketKey(value);
  histogram.set(key, (histogram.get(key) ?? 0) + 1);
}

/** Values are whole: what is below 1 counts as 0. */
export function bucketKey(value: number): number {
  let digits = Math.floor(value);
  if (!(digits > 0)) return zeroKey;
  if (digits < 10) return digits * 10;
  let exponent = 1;
  while (digits >= 100) {
    digits = Math.floor(digits / 10);
    exponent++;
  }
  return exponent * 100 + digits;
}

/** The least value of a bucket. */
export function lowerBound(key: number): number {
  return key === zeroKey ? 0 : ((key % 100) / 10) * 10 ** Math.floor(key / 100);
}

export function bucketWidth(key: number): number {
  return key === zeroKey ? 0 : 10 ** (Math.floor(key / 100) - 1);
}

export function countsOf(histogram: Histogram): HistogramCounts {
  return [...histogram].filter(([, count]) => count > 0).sort(([a], [b]) => a - b);
}

export function mergeCounts(all: readonly HistogramCounts[]): HistogramCounts {
  const sum: Histogram = new Map();
  for (const counts of all) for (const [key, count] of counts) sum.set(key, (sum.get(key) ?? 0) + count);
  return countsOf(sum);
}

/** What came to `before`. */
export function countsSince(now: HistogramCounts, before: HistogramCounts): HistogramCounts {
  const known = new Map(before);
  return now
    .map(([key, count]) => [key, count - (known.get(key) ?? 0)] as const)
    .filter(([, count]) => count > 0);
}

export function sampleCount(counts: HistogramCounts): number {
  return counts.reduce((sum, [, count]) => sum + count, 0);
}

/** About the sum of the values: each bucket's count times the harmonic mean of its bounds, as Envoy's. */
export function approximateSum(counts: HistogramCounts): number {
  return counts.reduce((sum, [key, count]) => {
    const lower = lowerBound(key);
    const upper = lower + bucketWidth(key);
    return lower === 0 ? sum : sum + (count * 2 * lower * upper) / (lower + upper);
  }, 0);
}

/** The percentiles of Envoy's pages. */
export const percentiles: readonly number[] = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];

/** One value for each percentile; values of a bucket lie evenly in it. Undefined where nothing was recorded. */
export function computePercentiles(counts: HistogramCounts): readonly number[] | undefined {
  const total = sampleCount(counts);
  if (total === 0) return undefined;
  return percentiles.map((percentile) => {
    let rank = Math.max(1, Math.ceil((percentile / 100) * total));
    for (const [key, count] of counts) {
      if (rank <= count) return lowerBound(key) + (rank / (count + 1)) * bucketWidth(key);
      rank -= count;
    }
    return 0;
  });
}

/** The bounds of Envoy's histograms, unless its bootstrap says others. */
export const histogramBounds: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

/** For each bound the count of the buckets that begin at or below it. */
export function cumulativeCounts(counts: HistogramCounts): readonly number[] {
  return histogramBounds.map((bound) =>
    counts.reduce((sum, [key, count]) => (lowerBound(key) <= bound ? sum + count : sum), 0),
  );
}

/** For each bound the count between it and the bound before. */
export function disjointCounts(counts: HistogramCounts): readonly number[] {
  const cumulative = cumulativeCounts(counts);
  return cumulative.map((count, i) => count - (cumulative[i - 1] ?? 0));
}
