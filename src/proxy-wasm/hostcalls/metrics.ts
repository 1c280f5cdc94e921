import { MetricKind, Status } from "../abi.ts";
import type { Vm } from "../vm.ts";

const kindBits = 2;
const kindMask = 3;

/** Counters, gauges and histograms. */
export function metricFunctions(vm: Vm) {
  const { metrics } = vm.outside.stores;
  const ids = createIds();
  return {
    proxy_define_metric(kind: number, nameAt: number, nameSize: number, idAt: number): Status {
      if (kind >>> 0 > MetricKind.Histogram) return Status.BadArgument;
      if (!vm.memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const stored = metrics.define(kind as MetricKind, vm.memory.text(nameAt, nameSize));
      if (stored === "full") return Status.InternalFailure;
      return vm.memory.setUint32(idAt, ids.idOf(kind as MetricKind, stored));
    },
    proxy_increment_metric: (id: number, offset: bigint): Status =>
      isReadable(id) ? metrics.increment(ids.storedOf(id), offset) : Status.BadArgument,
    proxy_record_metric: (id: number, value: bigint): Status =>
      metrics.record(ids.storedOf(id), BigInt.asUintN(64, value)),
    proxy_get_metric(id: number, valueAt: number): Status {
      const value = isReadable(id) ? metrics.get(ids.storedOf(id)) : Status.BadArgument;
      return typeof value === "bigint" ? vm.memory.setUint64(valueAt, value) : value;
    },
  };
}

const isReadable = (id: number) =>
  (id & kindMask) === MetricKind.Counter || (id & kindMask) === MetricKind.Gauge;

/**
 * The ids by which a guest knows the metrics that it has defined, as in Envoy: of each kind from 1 on, with the kind in the
 * two lowest bits. Unlike Envoy: a metric that is defined again keeps its id, so that a guest may do so in each stream.
 */
function createIds() {
  const stored: readonly number[][] = [[], [], []];
  const known = new Map<number, number>();
  return {
    idOf(kind: MetricKind, metric: number): number {
      const id = known.get(metric) ?? (stored[kind]!.push(metric) << kindBits) | kind;
      known.set(metric, id);
      return id;
    },
    /** Its number in the store; 0, which is no metric's, if this guest has defined none of that id. */
    storedOf: (id: number): number => stored[id & kindMask]?.[(id >>> kindBits) - 1] ?? 0,
  };
}
