import { MetricKind, Status } from "./abi.ts";
import type { SharedHeap } from "./shared-heap.ts";
import { field, RecordKind, type SharedIndex } from "./shared-index.ts";
import { maxMetrics, metricTable, place, type SharedMemory } from "./shared-memory.ts";

/** The metrics of all threads. A metric is its kind and its name; ids count from 1 and are the same in all threads. */
export interface MetricStore {
  /** `full`: there is no room, or there are 16,383 metrics (INTERNAL_FAILURE). */
  define(kind: MetricKind, name: string): number | "full";
  increment(id: number, delta: bigint): Status;
  record(id: number, value: bigint): Status;
  get(id: number): bigint | Status;
  snapshot(): MetricSnapshot[];
}

export type MetricSnapshot =
  | {
      readonly name: string;
      readonly kind: typeof MetricKind.Counter | typeof MetricKind.Gauge;
      readonly value: bigint;
    }
  | {
      readonly name: string;
      readonly kind: typeof MetricKind.Histogram;
      readonly histogram: HistogramSnapshot;
    };

/** Counts are cumulative: of all values up to and including the bound, as Prometheus has them. */
export interface HistogramSnapshot {
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[];
  readonly count: number;
  readonly sum: bigint;
}

/** The bounds of Envoy's histograms in its Prometheus output. */
export const histogramBounds: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];
/** A count for each bound and one for what is above all, then the sum; 64 bits each. */
const sumAt = histogramBounds.length + 1;

interface Metric {
  readonly kind: MetricKind;
  /** Where its values begin, in 64 bits. */
  readonly at: number;
}

const [idOf, kindOf, valuesOf] = [field.a, field.b, field.c];

export function createMetricStore(memory: SharedMemory, heap: SharedHeap, index: SharedIndex): MetricStore {
  const { words, longs, put } = memory;
  // A metric never moves and is never removed.
  const known: (Metric | undefined)[] = [];
  const create = (kind: MetricKind, name: string) => {
    const id = words[place.lastMetric]! + 1;
    const size = kind === MetricKind.Histogram ? sumAt + 1 : 1;
    const record = id < maxMetrics ? index.create(RecordKind.Metric, scopeOf(kind), name) : 0;
    const block = record === 0 ? 0 : heap.allocate(size * 8);
    if (block === 0) {
      if (record !== 0) index.remove(record);
      return 0;
    }
    longs.fill(0n, block / 2, block / 2 + size);
    words[record + idOf] = id;
    words[record + kindOf] = kind;
    words[record + valuesOf] = block;
    put(metricTable + id, record);
    put(place.lastMetric, id);
    return id;
  };
  const findOrCreate = (kind: MetricKind, name: string) => {
    const record = index.find(RecordKind.Metric, scopeOf(kind), name);
    return record === 0 ? create(kind, name) : words[record + idOf]!;
  };
  const readMetric = (id: number): Metric | undefined => {
    const record = id > 0 && id < maxMetrics ? words[metricTable + id]! : 0;
    if (record === 0) return undefined;
    return { kind: words[record + kindOf] as MetricKind, at: words[record + valuesOf]! / 2 };
  };
  const metricOf = (id: number) => known[id] ?? learn(id);
  const learn = (id: number) => {
    const metric = memory.locked(() => readMetric(id));
    if (metric) known[id] = metric;
    return metric;
  };
  return {
    define: (kind, name) => memory.locked(() => findOrCreate(kind, name)) || "full",
    increment(id, delta) {
      const metric = metricOf(id);
      if (!metric) return Status.NotFound;
      if (metric.kind === MetricKind.Histogram) return Status.BadArgument;
      if (metric.kind === MetricKind.Counter && delta <= 0n) return Status.BadArgument;
      Atomics.add(longs, metric.at, delta);
      return Status.Ok;
    },
    record(id, value) {
      const metric = metricOf(id);
      if (!metric) return Status.NotFound;
      if (metric.kind === MetricKind.Counter) Atomics.add(longs, metric.at, value);
      else if (metric.kind === MetricKind.Gauge) Atomics.store(longs, metric.at, value);
      else observe(longs, metric.at, value);
      return Status.Ok;
    },
    get(id) {
      const metric = metricOf(id);
      if (!metric) return Status.NotFound;
      return metric.kind === MetricKind.Histogram ? Status.BadArgument : readUnsigned(longs, metric.at);
    },
    snapshot: () =>
      memory.locked(() => {
        const ids = Array.from({ length: words[place.lastMetric]! }, (_, i) => i + 1);
        return ids.map((id) => snapshotOf(longs, index.nameOf(words[metricTable + id]!), readMetric(id)!));
      }),
  };
}

/** Two kinds may have a metric of the same name, as in Envoy. */
function scopeOf(kind: MetricKind): string {
  return String(kind);
}

/** Without the lock: a reader may see a count without its value in the sum. */
function observe(longs: BigInt64Array, at: number, value: bigint): void {
  const number = Number(BigInt.asUintN(64, value));
  const bucket = histogramBounds.findIndex((bound) => number <= bound);
  Atomics.add(longs, at + (bucket < 0 ? histogramBounds.length : bucket), 1n);
  Atomics.add(longs, at + sumAt, value);
}

function snapshotOf(longs: BigInt64Array, name: string, { kind, at }: Metric): MetricSnapshot {
  if (kind !== MetricKind.Histogram) return { name, kind, value: readUnsigned(longs, at) };
  let count = 0;
  const buckets = histogramBounds.map((upTo, i) => {
    count += Number(Atomics.load(longs, at + i));
    return { upTo, count };
  });
  count += Number(Atomics.load(longs, at + histogramBounds.length));
  return { name, kind, histogram: { buckets, count, sum: readUnsigned(longs, at + sumAt) } };
}

/** Values are of 64 bits without a sign, as Envoy's: a gauge below zero reads as a large number. */
function readUnsigned(longs: BigInt64Array, at: number): bigint {
  return BigInt.asUintN(64, Atomics.load(longs, at));
}
