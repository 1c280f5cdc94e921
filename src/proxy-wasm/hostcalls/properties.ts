import { Status } from "../abi.ts";
import { encodeProperty, splitPropertyPath } from "../property-values.ts";
import type { Vm } from "../vm.ts";

const maxPathBytes = 64 * 1024;

/** What is known of stream, connection, route and plugin, and what plugins tell each other. */
export function propertyFunctions(vm: Vm) {
  return {
    proxy_get_property(pathAt: number, pathSize: number, valueAt: number, sizeAt: number): Status {
      const { memory } = vm;
      if (!memory.has(pathAt, pathSize)) return Status.InvalidMemoryAccess;
      if (pathSize >>> 0 > maxPathBytes) return Status.NotFound;
      const value = vm.context.property(splitPropertyPath(memory.view8(pathAt, pathSize)));
      if (value === undefined) return Status.NotFound;
      if (typeof value === "string") return memory.giveText(value, valueAt, sizeAt);
      return memory.giveBytes(encodeProperty(value), valueAt, sizeAt);
    },
    proxy_set_property(pathAt: number, pathSize: number, valueAt: number, valueSize: number): Status {
      const { memory } = vm;
      if (!memory.has(pathAt, pathSize) || !memory.has(valueAt, valueSize)) return Status.InvalidMemoryAccess;
      if (pathSize >>> 0 > maxPathBytes) return Status.BadArgument;
      const path = splitPropertyPath(memory.view8(pathAt, pathSize)).join("\0");
      return vm.context.setProperty(path, memory.copy(valueAt, valueSize));
    },
  };
}
