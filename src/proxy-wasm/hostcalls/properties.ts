import { Status } from "../abi.ts";
import { splitPropertyPath } from "../property-names.ts";
import { encodeProperty, type PropertyValue } from "../property-values.ts";
import type { Vm } from "../vm.ts";

/** What has properties and is none itself: it is there, but cannot be encoded. */
const structures: ReadonlySet<string> = new Set(
  "request response connection upstream source destination xds filter_state".split(" "),
);
const isStructure = ([name = "request", more]: readonly string[]) =>
  more === undefined && structures.has(name);

/** As Envoy: a map of nothing is a count of 0 where it is a property, and no bytes where it is headers. */
const emptyMap = new Uint8Array(4);

function encode(value: PropertyValue): Uint8Array {
  const bytes = encodeProperty(value);
  const isMap =
    typeof value === "object" && !(value instanceof Uint8Array) && ("map" in value || "list" in value);
  return isMap && bytes.length === 0 ? emptyMap : bytes;
}

const maxPathBytes = 64 * 1024;

/** What is known of stream, connection, route and plugin, and what plugins tell each other. */
export function propertyFunctions(vm: Vm) {
  return {
    proxy_get_property(pathAt: number, pathSize: number, valueAt: number, sizeAt: number): Status {
      const { memory } = vm;
      if (!memory.has(pathAt, pathSize)) return Status.InvalidMemoryAccess;
      if (pathSize >>> 0 > maxPathBytes) return Status.NotFound;
      const path = splitPropertyPath(memory.known(pathAt, pathSize));
      const value = path.length === 0 ? undefined : vm.context.property(path);
      if (value === undefined) return isStructure(path) ? Status.SerializationFailure : Status.NotFound;
      if (typeof value === "string") return memory.giveText(value, valueAt, sizeAt);
      return memory.giveBytes(encode(value), valueAt, sizeAt);
    },
    proxy_set_property(pathAt: number, pathSize: number, valueAt: number, valueSize: number): Status {
      const { memory } = vm;
      if (!memory.has(pathAt, pathSize) || !memory.has(valueAt, valueSize)) return Status.InvalidMemoryAccess;
      if (pathSize >>> 0 > maxPathBytes) return Status.BadArgument;
      const path = memory.known(pathAt, pathSize);
      return vm.context.setProperty(
        path.endsWith("\0") ? path.slice(0, -1) : path,
        memory.copy(valueAt, valueSize),
      );
    },
  };
}
