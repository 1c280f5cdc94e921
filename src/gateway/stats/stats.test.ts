import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { MetricKind } from "../../proxy-wasm/abi.ts";
import { createStores } from "../../proxy-wasm/stores.ts";
import {
  approximateSum,
  bucketKey,
  bucketWidth,
  computePercentiles,
  countsOf,
  countsSince,
  cumulativeCounts,
  disjointCounts,
  type Histogram,
  lowerBound,
  mergeCounts,
  record,
  sampleCount,
} from "./histogram.ts";
import { pluginMetrics, resetPluginCounters } from "./plugin-metrics.ts";
import { allKinds, selectStats } from "./select-stats.ts";
import { plainScope } from "./stat-scope.ts";
import { statsJson } from "./stats-json.ts";
import { statsPrometheus } from "./stats-prometheus.ts";
import { countedStats, mergeStats, type StatsSnapshot, withoutZeros } from "./stats-snapshot.ts";
import { sixDigits, statsText } from "./stats-text.ts";
import { versionHash } from "./version-hash.ts";

function histogramOf(...values: readonly number[]) {
  const histogram: Histogram = new Map();
  for (const value of values) record(histogram, value);
  return countsOf(histogram);
}

suite("histograms", () => {
  test("buckets have two significant digits, and a value is in its bucket", () => {
    for (const value of [1, 2, 9, 10, 14, 99, 100, 101, 495, 1000, 123_456, 3_600_000]) {
      const key = bucketKey(value);
      const lower = Math.round(lowerBound(key));
      assert.ok(lower <= value && value < lower + Math.max(1, bucketWidth(key)), `${value}`);
      assert.equal(String(lower), String(value).slice(0, 2).padEnd(String(value).length, "0"));
    }
    for (const value of [0, 0.9, -3, Number.NaN]) assert.equal(lowerBound(bucketKey(value)), 0);
  });

  // What Envoy 1.40 printed for these values.
  test("percentiles are Envoy's", () => {
    const ones = histogramOf(...Array.from({ length: 11 }, () => 1));
    const expected = [1.0083333333333333, 1.025, 1.05, 1.075, 1.0833333333333333, 1.0916666666666668];
    assert.deepEqual(computePercentiles(ones)?.slice(0, 6).map(rounded), expected.map(rounded));
    const perConnection = computePercentiles(histogramOf(1, 2, 2, 4))!;
    assert.deepEqual(perConnection.slice(0, 5).map(rounded), [1.05, 1.05, 2.03333333, 2.06666667, 4.05]);
    assert.equal(computePercentiles([]), undefined);
  });

  test("counts up to a bound have what begins at it", () => {
    const counts = histogramOf(0, 0, 1, 5, 6, 4_000_000);
    assert.deepEqual(cumulativeCounts(counts).slice(0, 4), [2, 3, 4, 5]);
    assert.deepEqual(disjointCounts(counts).slice(0, 4), [2, 1, 1, 1]);
    assert.equal(cumulativeCounts(counts).at(-1), 5);
    assert.equal(sampleCount(counts), 6);
    assert.equal(rounded(approximateSum(histogramOf(1))), rounded((2 * 1.1) / 2.1));
  });

  test("what threads recorded is merged, and what came since is the difference", () => {
    const [a, b] = [histogramOf(1, 2, 30), histogramOf(2, 400)];
    assert.deepEqual(mergeCounts([a, b]), histogramOf(1, 2, 2, 30, 400));
    assert.deepEqual(countsSince(mergeCounts([a, b]), a), b);
  });
});

function rounded(value: number): number {
  return Number(value.toFixed(8));
}

const cluster = (counters: Record<string, number>): StatsSnapshot => [
  {
    ...plainScope("cluster.a.b.", { counters, gauges: { active: 2 }, histograms: { time: histogramOf(3) } }),
    metricPrefix: "cluster.",
    labels: [["envoy_cluster_name", "a.b"]],
  },
];

suite("snapshots of threads", () => {
  test("are summed, by name", () => {
    const [merged] = mergeStats([cluster({ total: 1 }), cluster({ total: 2, other: 5 })]);
    assert.deepEqual(merged?.counters, { total: 3, other: 5 });
    assert.deepEqual(merged?.gauges, { active: 4 });
    assert.deepEqual(merged?.histograms, { time: histogramOf(3, 3) });
  });

  test("keep what a thread that is gone has counted, and not what it had open", () => {
    const [merged] = mergeStats([countedStats(cluster({ total: 1 })), cluster({ total: 2 })]);
    assert.deepEqual([merged?.counters.total, merged?.gauges.active], [3, 2]);
  });

  test("have what the configuration says once, and what a thread has for itself at its highest", () => {
    const of = (total: number) =>
      cluster({ membership_change: total, "circuit_breakers.default.cx_open": 1 });
    const [merged] = mergeStats([of(1), of(1)]);
    assert.deepEqual(merged?.counters, { membership_change: 1, "circuit_breakers.default.cx_open": 1 });
  });

  test("need no zeros", () => {
    const [sparse] = withoutZeros(cluster({ total: 1, never: 0 }));
    assert.deepEqual([sparse?.counters, sparse?.gauges], [{ total: 1 }, { active: 2 }]);
  });

  test("are plain data", () => {
    assert.deepEqual(structuredClone(cluster({ total: 1 })), cluster({ total: 1 }));
  });
});

suite("forms", () => {
  const all = { usedOnly: false, matches: () => true, kinds: allKinds };
  const stats = selectStats(
    [
      ...cluster({ upstream_rq_200: 1, upstream_rq_2xx: 1, never: 0 }),
      plainScope("z.", { texts: { version_text: 'a"b' }, gauges: { version: 2n ** 63n + 1n } }),
    ],
    all,
  );

  test("text: texts, then numbers, then histograms, each by name", () => {
    assert.equal(
      statsText(stats, "summary", new Map()).replace(/P0.*/, "…"),
      `z.version_text: "a\\"b"\ncluster.a.b.active: 2\ncluster.a.b.never: 0\ncluster.a.b.upstream_rq_200: 1\n` +
        "cluster.a.b.upstream_rq_2xx: 1\nz.version: 9223372036854775809\ncluster.a.b.time: …\n",
    );
    assert.deepEqual([600_000, 1_800_000, 0.1, 0].map(sixDigits), ["600000", "1.8e+06", "0.1", "0"]);
  });

  test("JSON is JSON, with numbers of 64 bits whole", () => {
    const text = statsJson(stats, "cumulative", new Map());
    assert.match(text, /"value":9223372036854775809/);
    assert.equal(JSON.parse(text).stats.at(-1).histograms[0].buckets.length, 19);
  });

  test("Prometheus: names without what labels say", () => {
    const text = statsPrometheus(stats, "cumulative");
    assert.match(text, /^# TYPE envoy_cluster_upstream_rq counter$/m);
    const labels = 'envoy_response_code_class="2",envoy_cluster_name="a.b"';
    assert.ok(text.includes(`envoy_cluster_upstream_rq_xx{${labels}} 1\n`));
    assert.ok(text.includes('envoy_z_version_text{text_value="a\\"b"} 0\n'));
    assert.ok(text.includes('envoy_cluster_time_bucket{envoy_cluster_name="a.b",le="+Inf"} 1\n'));
  });

  test("what was never used may be left out", () => {
    const used = selectStats(cluster({ never: 0, once: 1 }), { ...all, usedOnly: true });
    assert.deepEqual(
      used.map(({ name }) => name),
      ["cluster.a.b.active", "cluster.a.b.once", "cluster.a.b.time"],
    );
  });
});

test("metrics of plugins keep their names, their buckets and their sums", () => {
  const { metrics } = createStores();
  const counter = metrics.define(MetricKind.Counter, "my.count") as number;
  metrics.increment(counter, 7n);
  const histogram = metrics.define(MetricKind.Histogram, "times") as number;
  for (const value of [1n, 7n, 10n, 9_000_000n]) metrics.record(histogram, value);
  const stats = selectStats([pluginMetrics(metrics.snapshot())], {
    usedOnly: true,
    matches: () => true,
    kinds: allKinds,
  });
  assert.deepEqual(
    stats.map(({ name }) => name),
    ["wasmcustom.my.count", "wasmcustom.times"],
  );
  const text = statsPrometheus(stats, "cumulative");
  assert.match(text, /^my_count\{\} 7$/m);
  for (const [bound, count] of [
    ["0.5", 0],
    ["1", 1],
    ["5", 1],
    ["10", 3],
    ["3600000", 3],
    ["\\+Inf", 4],
  ])
    assert.match(text, new RegExp(`^times_bucket\\{le="${bound}"\\} ${count}$`, "m"));
  assert.match(text, /^times_sum\{\} 9000018$/m);
  resetPluginCounters(metrics);
  assert.deepEqual(
    [metrics.get(counter), sampleCount(pluginMetrics(metrics.snapshot()).histograms.times!)],
    [0n, 4],
  );
});

// Of xxHash's own tests, and what Envoy 1.40 showed for a version.
test("a version's number is the xxHash64 of its text", () => {
  assert.equal(versionHash(""), 0xef46db3751d8e999n);
  assert.equal(versionHash("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1n);
  assert.equal(versionHash("296L2qHSF0S0wGWL"), 311032655847322694n);
});
