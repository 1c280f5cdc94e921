import { Status } from "../abi.ts";
import { compressBytes, uncompressBytes } from "../compression.ts";
import type { Vm } from "../vm.ts";
import { readFields, textField } from "./proto-fields.ts";

/** What a foreign function answers: a result, which may be empty, or why there is none. */
type Answer = Uint8Array | Status;
type ForeignFunction = (vm: Vm, argument: Uint8Array) => Answer;

const nothing = new Uint8Array(0);
/** What `uncompress` may give. */
const maxResultBytes = 64 * 1024 * 1024;

/** Envoy's functions by name, as far as this host has them, and Higress'. */
const functions: ReadonlyMap<string, ForeignFunction> = new Map<string, ForeignFunction>([
  ["compress", (_vm, bytes) => compressBytes(bytes)],
  ["uncompress", (_vm, bytes) => uncompressBytes(bytes, maxResultBytes) ?? Status.SerializationFailure],
  ["set_envoy_filter_state", setFilterState],
  ["declare_property", declareProperty],
  ["clear_route_cache", (vm) => vm.context.clearRouteCache() || nothing],
  ["get_log_level", (vm) => Uint8Array.of(vm.outside.logLevel(), 0, 0, 0)],
  ["inject_encoded_data_to_filter_chain", injectData],
  ["inject_encoded_data_to_filter_chain_on_header", injectData],
  ["set_global_max_requests_per_io_cycle", () => nothing],
]);

/** Functions that are called by name. */
export function foreignFunctions(vm: Vm) {
  return {
    proxy_call_foreign_function(
      nameAt: number,
      nameSize: number,
      at: number,
      size: number,
      resultAt: number,
      resultSizeAt: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(nameAt, nameSize) || !memory.has(at, size)) return Status.InvalidMemoryAccess;
      const found = functions.get(memory.text(nameAt, nameSize));
      if (!found) return Status.NotFound;
      const answer = found(vm, memory.copy(at, size));
      return typeof answer === "number" ? answer : give(vm, answer, resultAt, resultSizeAt);
    },
  };
}

/** Guests that want no result pass 0 for where it goes. */
function give({ memory }: Vm, result: Uint8Array, resultAt: number, sizeAt: number): Status {
  if (resultAt !== 0 && sizeAt !== 0) return memory.giveBytes(result, resultAt, sizeAt);
  return sizeAt === 0 ? Status.Ok : memory.setUint32(sizeAt, result.length);
}

// Unlike Envoy: which names mean something is the gateway's affair, so any may be set; there, those of its own factories.
/** `{path: 1, value: 2, span: 3}`: state under its own name, for other filters and for access logs. */
function setFilterState(vm: Vm, argument: Uint8Array): Answer {
  const fields = readFields(argument);
  if (!fields) return Status.BadArgument;
  const name = textField(fields, 1);
  if (name === "") return Status.NotFound;
  const value = fields.get(2);
  return vm.context.setFilterState(name, value instanceof Uint8Array ? value : nothing) || nothing;
}

/** `{name: 1, readonly: 2, type: 3, schema: 4, span: 5}`: how a property of this plugin's streams may be set. */
function declareProperty(vm: Vm, argument: Uint8Array): Answer {
  const fields = readFields(argument);
  if (!fields) return Status.BadArgument;
  const declared = vm.context.root.declareProperty(textField(fields, 1), { readOnly: fields.get(2) === 1 });
  return declared ? nothing : Status.BadArgument;
}

/** `{body: 1, endstream: 2}`: Higress' way around the import. */
function injectData(vm: Vm, argument: Uint8Array): Answer {
  const fields = readFields(argument);
  if (!fields) return Status.ParseFailure;
  const body = fields.get(1);
  return (
    vm.context.injectResponseBody(body instanceof Uint8Array ? body : nothing, fields.get(2) === 1) || nothing
  );
}
