/** Minimum, median, 95th percentile and maximum, for a line of a benchmark. */
export function distribution(values: readonly number[], digits = 1): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  const shown = { min: at(0), median: at(0.5), p90: at(0.9), p95: at(0.95), max: at(1) };
  return Object.entries(shown)
    .map(([name, value]) => `${name} ${value.toFixed(digits)}`)
    .join("  ");
}
