import { MetricKind, Status } from "../abi.ts";
import type { Vm } from "../vm.ts";

/** Counters, gauges and histograms. */
export function metricFunctions(vm: Vm) {
  const { metrics } = vm.outside.stores;
  return {
    proxy_define_metric(kind: number, nameAt: number, nameSize: number, idAt: number): Status {
      if (kind >>> 0 > MetricKind.Histogram) return Status.BadArgument;
      if (!vm.memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const id = metrics.define(kind as MetricKind, vm.memory.text(nameAt, nameSize));
      return id === "full" ? Status.InternalFailure : vm.memory.setUint32(idAt, id);
    },
    proxy_increment_metric: (id: number, offset: bigint): Status => metrics.increment(id >>> 0, offset),
    proxy_record_metric: (id: number, value: bigint): Status =>
      metrics.record(id >>> 0, BigInt.asUintN(64, value)),
    proxy_get_metric(id: number, valueAt: number): Status {
      const value = metrics.get(id >>> 0);
      return typeof value === "bigint" ? vm.memory.setUint64(valueAt, value) : value;
    },
  };
}
