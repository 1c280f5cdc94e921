import { BufferType, Status } from "../abi.ts";
import { ConstantBuffer, type GuestBuffer } from "../body.ts";
import type { Vm } from "../vm.ts";

const lastBuffer = BufferType.RedisResponse;
/** What is empty, and not missing, where a phase does not have it. As Envoy. */
const emptyIfAbsent: ReadonlySet<number> = new Set([
  BufferType.RequestBody,
  BufferType.ResponseBody,
  BufferType.DownstreamData,
  BufferType.UpstreamData,
  BufferType.GrpcMessage,
  BufferType.ForeignArguments,
]);
const empty = new ConstantBuffer(new Uint8Array(0));

/** Bodies, data of TCP streams, configurations, answers to calls. */
export function bufferFunctions(vm: Vm) {
  return {
    proxy_get_buffer_bytes(
      type: number,
      start: number,
      max: number,
      bytesAt: number,
      sizeAt: number,
    ): Status {
      if (type >>> 0 > lastBuffer) return Status.BadArgument;
      const buffer = findBuffer(vm, type);
      if (!buffer) return missing(type);
      const [from, most] = [start >>> 0, max >>> 0];
      const size = Math.min(most, Math.max(0, buffer.length - from));
      if (size === 0) return vm.memory.giveText("", bytesAt, sizeAt);
      return vm.memory.giveBytes(buffer.read(from, size), bytesAt, sizeAt);
    },
    proxy_get_buffer_status(type: number, lengthAt: number, flagsAt: number): Status {
      if (type >>> 0 > lastBuffer) return Status.BadArgument;
      const buffer = findBuffer(vm, type);
      if (!buffer) return missing(type);
      return (vm.memory.setUint32(lengthAt, buffer.length) || vm.memory.setUint32(flagsAt, 0)) as Status;
    },
    proxy_set_buffer_bytes(type: number, start: number, length: number, at: number, size: number): Status {
      if (type >>> 0 > lastBuffer) return Status.BadArgument;
      const buffer = findBuffer(vm, type);
      if (!buffer) return missing(type);
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      return buffer.write(start >>> 0, length >>> 0, vm.memory.copy(at, size));
    },
    /** ABI 0.1.0: the plugin's configuration while it is configured, else the Vm's. */
    proxy_get_configuration(bytesAt: number, sizeAt: number): Status {
      const { context } = vm;
      const buffer =
        context.buffer(BufferType.PluginConfiguration) ?? context.buffer(BufferType.VmConfiguration)!;
      return vm.memory.giveBytes(buffer.read(0, buffer.length), bytesAt, sizeAt);
    },
  };
}

function findBuffer(vm: Vm, type: number): GuestBuffer | undefined {
  return vm.context.buffer(type as BufferType) ?? (emptyIfAbsent.has(type) ? empty : undefined);
}

/** A stock Envoy does not know the last one at all. */
function missing(type: number): Status {
  return type === BufferType.RedisResponse ? Status.BadArgument : Status.NotFound;
}
