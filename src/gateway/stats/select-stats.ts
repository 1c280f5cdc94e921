import type { HistogramCounts } from "./histogram.ts";
import type { Figure, Label, ScopeSnapshot, StatsSnapshot } from "./stats-snapshot.ts";

export type StatKind = "counter" | "gauge" | "text" | "histogram";

/** One figure with its names. */
export interface Stat {
  readonly kind: StatKind;
  /** Envoy's. */
  readonly name: string;
  /** Without what the labels say. */
  readonly metric: string;
  readonly labels: readonly Label[];
  readonly isCustom: boolean;
  readonly value: Figure | string;
  readonly histogram: HistogramCounts;
  /** Exact, where it is known. */
  readonly sum: bigint | undefined;
}

/** Which figures are wanted. */
export interface StatSelection {
  /** Those that are 0, empty or never recorded are left out. */
  readonly usedOnly: boolean;
  readonly matches: (name: string) => boolean;
  readonly kinds: ReadonlySet<StatKind>;
}

export const allKinds: ReadonlySet<StatKind> = new Set(["counter", "gauge", "text", "histogram"]);

/** As Envoy orders them: texts, then counters and gauges, then histograms, each by name. */
export function selectStats(snapshot: StatsSnapshot, { usedOnly, matches, kinds }: StatSelection): Stat[] {
  const wanted = (stat: Stat) => kinds.has(stat.kind) && matches(stat.name) && (!usedOnly || isUsed(stat));
  return snapshot
    .flatMap(statsOf)
    .filter(wanted)
    .sort((a, b) => rank[a.kind] - rank[b.kind] || (a.name < b.name ? -1 : 1));
}

const rank: Readonly<Record<StatKind, number>> = { text: 0, counter: 1, gauge: 1, histogram: 2 };

function isUsed({ kind, value, histogram }: Stat): boolean {
  return kind === "histogram" ? histogram.length > 0 : value !== 0 && value !== 0n && value !== "";
}

function statsOf(scope: ScopeSnapshot): Stat[] {
  const { prefix, metricPrefix, labels, isCustom = false } = scope;
  const make = (
    kind: StatKind,
    leaf: string,
    value: Figure | string,
    histogram: HistogramCounts = [],
  ): Stat => {
    const { metric, label } = leafParts(leaf);
    return {
      kind,
      name: `${prefix}${leaf}`,
      metric: `${metricPrefix}${metric}`,
      labels: label ? [label, ...labels] : labels,
      isCustom,
      value,
      histogram,
      sum: scope.sums?.[leaf],
    };
  };
  return [
    ...Object.entries(scope.counters).map(([leaf, value]) => make("counter", leaf, value)),
    ...Object.entries(scope.gauges).map(([leaf, value]) => make("gauge", leaf, value)),
    ...Object.entries(scope.texts).map(([leaf, value]) => make("text", leaf, value)),
    ...Object.entries(scope.histograms).map(([leaf, counts]) => make("histogram", leaf, 0, counts)),
  ];
}

/** What Envoy takes out of the end of a name, and the label that it makes of it. */
const leafLabels: readonly (readonly [pattern: RegExp, label: string])[] = [
  [/_rq_(?<value>\d)xx$/, "envoy_response_code_class"],
  [/_rq_(?<value>\d{3})$/, "envoy_response_code"],
  [/^ssl\.ciphers\.(?<value>.+)$/, "envoy_ssl_cipher"],
  [/^ssl\.versions\.(?<value>.+)$/, "envoy_ssl_version"],
  [/^worker_(?<value>\d+)\./, "envoy_worker_id"],
  [/^ssl\.certificate\.(?<value>.+)\.[a-z_]+$/, "envoy_tls_certificate"],
];

function leafParts(leaf: string): { readonly metric: string; readonly label?: Label } {
  for (const [pattern, name] of leafLabels) {
    const value = pattern.exec(leaf)?.groups?.value;
    if (value !== undefined) return { metric: withoutValue(leaf, value), label: [name, value] };
  }
  return { metric: leaf };
}

/** `upstream_rq_2xx` is `upstream_rq_xx`, `upstream_rq_200` is `upstream_rq`. */
function withoutValue(leaf: string, value: string): string {
  const at = leaf.lastIndexOf(value);
  const [before, after] = [leaf.slice(0, at), leaf.slice(at + value.length)];
  if (after === "xx") return before + after;
  return `${before.replace(/[._]$/, "")}${after}`;
}
