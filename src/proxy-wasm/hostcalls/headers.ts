import { MapType, Status } from "../abi.ts";
import type { Context } from "../context.ts";
import { areHeaders, isHeader } from "../header-faults.ts";
import type { HeaderMap } from "../header-map.ts";
import type { Vm } from "../vm.ts";

const lastMap = MapType.CallTrailers;
/** What a line costs besides its value. */
const lineBytes = 32;

/** Header and trailer maps, of streams and of the answers to calls. */
export function headerFunctions(vm: Vm) {
  return { ...readers(vm), ...writers(vm) };
}

function readers(vm: Vm) {
  return {
    proxy_get_header_map_value(
      type: number,
      nameAt: number,
      nameSize: number,
      valueAt: number,
      sizeAt: number,
    ): Status {
      if (type >>> 0 > lastMap) return Status.BadArgument;
      const { context, memory } = vm;
      if (!memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const map = context.readableMap(type as MapType);
      const value = map?.get(memory.name(nameAt, nameSize));
      if (value !== undefined) return memory.giveText(value, valueAt, sizeAt);
      const status = map ? Status.NotFound : context.missingMapStatus;
      // ABI 0.1.0 does not tell what is missing from what is empty.
      if (status !== Status.NotFound || vm.module.abi !== "0.1.0") return status;
      return memory.giveText("", valueAt, sizeAt);
    },
    proxy_get_header_map_pairs(type: number, mapAt: number, sizeAt: number): Status {
      if (type >>> 0 > lastMap) return Status.BadArgument;
      const map = vm.context.readableMap(type as MapType);
      return map ? vm.memory.giveMap(map, mapAt, sizeAt) : vm.memory.giveText("", mapAt, sizeAt);
    },
    proxy_get_header_map_size(type: number, sizeAt: number): Status {
      if (type >>> 0 > lastMap) return Status.BadArgument;
      // As Envoy: only of a map that could be written too.
      const map = vm.context.writableMap(type as MapType);
      return map ? vm.memory.setUint32(sizeAt, map.byteSize) : Status.BadArgument;
    },
  };
}

/** What guests may write into a map, all in all. */
const maxWrittenBytes = 8 * 1024 * 1024;

function writers(vm: Vm) {
  return {
    proxy_set_header_map_pairs(type: number, at: number, size: number): Status {
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      const map = writableMap(vm.context, type, size);
      if (!map) return Status.BadArgument;
      const lines = vm.memory.lines(at, size);
      map.setLines(lines);
      map.isSuspect ||= !areHeaders(lines);
      return changed(vm, type);
    },
    proxy_add_header_map_value(
      type: number,
      nameAt: number,
      nameSize: number,
      at: number,
      size: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(nameAt, nameSize) || !memory.has(at, size)) return Status.InvalidMemoryAccess;
      const map = writableMap(vm.context, type, size);
      if (!map) return Status.BadArgument;
      const name = memory.name(nameAt, nameSize);
      const value = memory.text(at, size);
      map.add(name, value);
      map.isSuspect ||= !isHeader(name, value);
      return changed(vm, type);
    },
    proxy_replace_header_map_value(
      type: number,
      nameAt: number,
      nameSize: number,
      at: number,
      size: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(nameAt, nameSize) || !memory.has(at, size)) return Status.InvalidMemoryAccess;
      const map = writableMap(vm.context, type, size);
      if (!map) return Status.BadArgument;
      const name = memory.name(nameAt, nameSize);
      const value = memory.text(at, size);
      map.replace(name, value);
      map.isSuspect ||= !isHeader(name, value);
      return changed(vm, type);
    },
    proxy_remove_header_map_value(type: number, nameAt: number, nameSize: number): Status {
      const { memory } = vm;
      if (!memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const map = writableMap(vm.context, type, 0);
      if (!map) return Status.BadArgument;
      map.remove(memory.name(nameAt, nameSize));
      return changed(vm, type);
    },
  };
}

function changed(vm: Vm, type: number): Status {
  vm.context.onMapChange(type as MapType);
  return Status.Ok;
}

/** The map, unless it is none or guests have written enough into it. */
function writableMap(context: Context, type: number, size: number): HeaderMap | undefined {
  const map = type >>> 0 > lastMap ? undefined : context.writableMap(type as MapType);
  if (!map || map.writtenBytes > maxWrittenBytes) return undefined;
  map.writtenBytes += size + lineBytes;
  return map;
}
