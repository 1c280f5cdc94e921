import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { MetricKind, Status } from "./abi.ts";
import { histogramBounds } from "./metric-store.ts";
import { createStores } from "./stores.ts";

function makeMetrics() {
  const { metrics } = createStores();
  const define = (kind: MetricKind, name: string) => {
    const id = metrics.define(kind, name);
    assert.ok(id !== "full");
    return id;
  };
  return { metrics, define };
}

test("a metric is its kind and its name", () => {
  const { define } = makeMetrics();
  const counter = define(MetricKind.Counter, "requests");
  assert.equal(define(MetricKind.Counter, "requests"), counter);
  const others = [define(MetricKind.Gauge, "requests"), define(MetricKind.Counter, "request")];
  assert.equal(new Set([counter, ...others]).size, 3);
});

test("counters only grow, and recording adds to them", () => {
  const { metrics, define } = makeMetrics();
  const id = define(MetricKind.Counter, "c");
  assert.equal(metrics.increment(id, 2n), Status.Ok);
  assert.equal(metrics.record(id, 40n), Status.Ok);
  assert.equal(metrics.get(id), 42n);
  for (const delta of [0n, -1n]) assert.equal(metrics.increment(id, delta), Status.BadArgument);
  assert.equal(metrics.get(id), 42n);
});

test("gauges go up and down and are set, without a sign", () => {
  const { metrics, define } = makeMetrics();
  const id = define(MetricKind.Gauge, "g");
  assert.equal(metrics.record(id, 5n), Status.Ok);
  assert.equal(metrics.increment(id, -3n), Status.Ok);
  assert.equal(metrics.get(id), 2n);
  metrics.increment(id, -3n);
  assert.equal(metrics.get(id), 2n ** 64n - 1n);
  metrics.record(id, -1n);
  assert.equal(metrics.get(id), 2n ** 64n - 1n);
});

test("histograms are recorded into, and neither incremented nor read", () => {
  const { metrics, define } = makeMetrics();
  const id = define(MetricKind.Histogram, "h");
  assert.equal(metrics.increment(id, 1n), Status.BadArgument);
  assert.equal(metrics.get(id), Status.BadArgument);
  for (const value of [0n, 1n, 5n, 6n, 3_600_000n, 3_600_001n])
    assert.equal(metrics.record(id, value), Status.Ok);
  const [snapshot] = metrics.snapshot();
  assert.ok(snapshot?.kind === MetricKind.Histogram);
  const { buckets, count, sum } = snapshot.histogram;
  assert.deepEqual(
    buckets.slice(0, 5).map(({ upTo, count: below }) => [upTo, below]),
    [
      [0.5, 1],
      [1, 2],
      [5, 3],
      [10, 4],
      [25, 4],
    ],
  );
  assert.deepEqual(buckets.at(-1), { upTo: 3_600_000, count: 5 });
  assert.deepEqual([count, sum], [6, 7_200_013n]);
});

test("buckets count what is not above their bound, whatever is recorded", () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt(0n, 4_000_000n), { maxLength: 40 }), (values) => {
      const { metrics, define } = makeMetrics();
      const id = define(MetricKind.Histogram, "h");
      for (const value of values) metrics.record(id, value);
      const [snapshot] = metrics.snapshot();
      assert.ok(snapshot?.kind === MetricKind.Histogram);
      const expected = histogramBounds.map(
        (bound) => values.filter((value) => Number(value) <= bound).length,
      );
      assert.deepEqual(
        snapshot.histogram.buckets.map(({ count }) => count),
        expected,
      );
      assert.equal(snapshot.histogram.count, values.length);
      assert.equal(
        snapshot.histogram.sum,
        values.reduce((sum, value) => sum + value, 0n),
      );
    }),
    { numRuns: fuzzRuns(30) },
  );
});

test("an id that nobody defined is not found", () => {
  const { metrics, define } = makeMetrics();
  define(MetricKind.Counter, "c");
  for (const id of [0, 2, -1, 16_383, 16_384, 2 ** 31, 4_294_967_295]) {
    assert.equal(metrics.increment(id, 1n), Status.NotFound);
    assert.equal(metrics.record(id, 1n), Status.NotFound);
    assert.equal(metrics.get(id), Status.NotFound);
  }
});

test("a snapshot has all metrics in the order of their definition", () => {
  const { metrics, define } = makeMetrics();
  metrics.increment(define(MetricKind.Counter, "ünits;a=b"), 7n);
  metrics.record(define(MetricKind.Gauge, "g"), 9n);
  assert.deepEqual(metrics.snapshot(), [
    { name: "ünits;a=b", kind: MetricKind.Counter, value: 7n },
    { name: "g", kind: MetricKind.Gauge, value: 9n },
  ]);
});

test("metrics are bounded in number", () => {
  const { metrics } = makeMetrics();
  const ids = Array.from({ length: 16_384 }, (_, i) => metrics.define(MetricKind.Counter, `${i}`));
  assert.deepEqual(ids.slice(-2), [16_383, "full"]);
  assert.equal(metrics.define(MetricKind.Counter, "7"), 8);
});
