import { MetricKind, Status } from "../abi.ts";
import type { Vm } from "../vm.ts";

const kindBits = 2;
const isReadable = (id: number) => (id & 3) === MetricKind.Counter || (id & 3) === MetricKind.Gauge;

/** Counters, gauges and histograms. As in Envoy, the two lowest bits of a guest's id say which it is. */
export function metricFunctions(vm: Vm) {
  const { metrics } = vm.outside.stores;
  return {
    proxy_define_metric(kind: number, nameAt: number, nameSize: number, idAt: number): Status {
      if (kind >>> 0 > MetricKind.Histogram) return Status.BadArgument;
      if (!vm.memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const id = metrics.define(kind as MetricKind, vm.memory.text(nameAt, nameSize));
      return id === "full" ? Status.InternalFailure : vm.memory.setUint32(idAt, (id << kindBits) | kind);
    },
    proxy_increment_metric: (id: number, offset: bigint): Status =>
      isReadable(id) ? metrics.increment(id >>> kindBits, offset) : Status.BadArgument,
    proxy_record_metric: (id: number, value: bigint): Status =>
      metrics.record(id >>> kindBits, BigInt.asUintN(64, value)),
    proxy_get_metric(id: number, valueAt: number): Status {
      const value = isReadable(id) ? metrics.get(id >>> kindBits) : Status.BadArgument;
      return typeof value === "bigint" ? vm.memory.setUint64(valueAt, value) : value;
    },
  };
}
