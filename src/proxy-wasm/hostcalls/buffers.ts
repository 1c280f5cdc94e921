import { BufferType, Status } from "../abi.ts";
import type { Vm } from "../vm.ts";

const lastBuffer = BufferType.RedisResponse;
const maxUint32 = 0xffff_ffff;

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
      const buffer = vm.context.buffer(type as BufferType);
      if (!buffer) return Status.NotFound;
      const [from, most] = [start >>> 0, max >>> 0];
      if (from + most > maxUint32) return Status.BadArgument;
      const size = Math.min(most, Math.max(0, buffer.length - from));
      if (size === 0) return vm.memory.giveText("", bytesAt, sizeAt);
      return vm.memory.giveBytes(buffer.read(from, size), bytesAt, sizeAt);
    },
    proxy_get_buffer_status(type: number, lengthAt: number, flagsAt: number): Status {
      if (type >>> 0 > lastBuffer) return Status.BadArgument;
      const buffer = vm.context.buffer(type as BufferType);
      if (!buffer) return Status.NotFound;
      return (vm.memory.setUint32(lengthAt, buffer.length) || vm.memory.setUint32(flagsAt, 0)) as Status;
    },
    proxy_set_buffer_bytes(type: number, start: number, length: number, at: number, size: number): Status {
      if (type >>> 0 > lastBuffer) return Status.BadArgument;
      const buffer = vm.context.buffer(type as BufferType);
      if (!buffer) return Status.NotFound;
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
