import {
  approximateSum,
  computePercentiles,
  cumulativeCounts,
  histogramBounds,
  percentiles,
  sampleCount,
} from "./histogram.ts";
import type { Stat, StatKind } from "./select-stats.ts";
import type { Label } from "./stats-snapshot.ts";

/** Histograms as buckets, or as quantiles. */
export type PrometheusMode = "cumulative" | "summary";

/** Figures in Prometheus' text format: counters, then gauges, then texts, then histograms, with one TYPE for each name. */
export function statsPrometheus(stats: readonly Stat[], mode: PrometheusMode): string {
  const order: readonly StatKind[] = ["counter", "gauge", "text", "histogram"];
  return order
    .map((kind) =>
      families(
        stats.filter((stat) => stat.kind === kind),
        kind,
        mode,
      ),
    )
    .join("");
}

function families(stats: readonly Stat[], kind: StatKind, mode: PrometheusMode): string {
  const byName = new Map<string, Stat[]>();
  for (const stat of stats) {
    const name = metricName(stat);
    const family = byName.get(name);
    if (family) family.push(stat);
    else byName.set(name, [stat]);
  }
  const type = kind === "text" ? "gauge" : kind === "histogram" && mode === "summary" ? "summary" : kind;
  return [...byName]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([name, family]) => `# TYPE ${name} ${type}\n${family.map((stat) => lines(name, stat, mode)).join("")}`,
    )
    .join("");
}

function metricName({ metric, isCustom }: Stat): string {
  const name = metric.replace(/[^a-zA-Z0-9_]/g, "_");
  return isCustom ? name.replace(/^(?=\d)/, "_") : `envoy_${name}`;
}

function lines(name: string, stat: Stat, mode: PrometheusMode): string {
  if (stat.kind === "histogram") return histogramLines(name, stat, mode);
  if (stat.kind === "text")
    return `${name}{${labelText([...stat.labels, ["text_value", String(stat.value)]])}} 0\n`;
  return `${name}{${labelText(stat.labels)}} ${stat.value}\n`;
}

function histogramLines(name: string, { labels, histogram, sum }: Stat, mode: PrometheusMode): string {
  const count = sampleCount(histogram);
  const values =
    mode === "summary" ? quantiles(name, labels, histogram) : buckets(name, labels, histogram, count);
  const text = labelText(labels);
  return `${values}${name}_sum{${text}} ${sum ?? approximateSum(histogram)}\n${name}_count{${text}} ${count}\n`;
}

function buckets(
  name: string,
  labels: readonly Label[],
  histogram: Stat["histogram"],
  count: number,
): string {
  const counts = cumulativeCounts(histogram).map((upTo, i) => [String(histogramBounds[i]), upTo] as const);
  return [...counts, ["+Inf", count] as const]
    .map(([bound, upTo]) => `${name}_bucket{${labelText([...labels, ["le", bound]])}} ${upTo}\n`)
    .join("");
}

function quantiles(name: string, labels: readonly Label[], histogram: Stat["histogram"]): string {
  const values = computePercentiles(histogram);
  return percentiles
    .map(
      (p, i) => `${name}{${labelText([...labels, ["quantile", String(p / 100)]])}} ${values?.[i] ?? "NaN"}\n`,
    )
    .join("");
}

function labelText(labels: readonly Label[]): string {
  return labels.map(([name, value]) => `${name}="${escapeValue(value)}"`).join(",");
}

function escapeValue(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}
