import { LogLevel, Status } from "../abi.ts";
import type { Vm } from "../vm.ts";

/** A longer line is cut. */
const maxLineBytes = 64 * 1024;

/** Logging, clocks, and the few functions of Emscripten that Envoy offers. */
export function logAndTimeFunctions(vm: Vm) {
  return {
    proxy_log(level: number, at: number, size: number): Status {
      if (level >>> 0 > LogLevel.Critical) return Status.BadArgument;
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      if (level >= vm.outside.logLevel())
        vm.log(level as LogLevel, vm.memory.message(at, Math.min(size >>> 0, maxLineBytes)));
      return Status.Ok;
    },
    proxy_get_log_level: (at: number): Status => vm.memory.setUint32(at, vm.outside.logLevel()),
    proxy_get_current_time_nanoseconds: (at: number): Status => vm.memory.setUint64(at, vm.outside.now()),
    proxy_set_tick_period_milliseconds(ms: number): Status {
      vm.context.root.setTickPeriod(ms >>> 0);
      return Status.Ok;
    },
    emscripten_notify_memory_growth: (): Status => Status.Ok,
    pthread_equal: (left: number, right: number): number => (left === right ? 1 : 0),
  };
}
