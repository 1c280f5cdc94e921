import { Status } from "../abi.ts";
import { HeaderMap } from "../header-map.ts";
import type { GrpcMethod } from "../outside.ts";
import type { Vm } from "../vm.ts";
import { giveToken } from "./calls.ts";

/** gRPC calls and streams that plugins make. */
export function grpcFunctions(vm: Vm) {
  return {
    proxy_grpc_call(
      ...parameters: [
        ...MethodParameters,
        messageAt: number,
        size: number,
        timeoutMs: number,
        tokenAt: number,
      ]
    ): Status {
      const [messageAt, size, timeoutMs, tokenAt] = parameters.slice(8) as [number, number, number, number];
      const method = readMethod(vm, parameters.slice(0, 8));
      if (!method || !vm.memory.has(messageAt, size)) return Status.InvalidMemoryAccess;
      const message = vm.memory.copy(messageAt, size);
      const call = { ...method, message, timeoutMs: timeoutMs > 0 ? timeoutMs : undefined };
      return giveToken(vm, tokenAt, () => vm.context.root.grpc.call(call));
    },
    proxy_grpc_stream(...parameters: [...MethodParameters, tokenAt: number]): Status {
      const method = readMethod(vm, parameters.slice(0, 8));
      if (!method) return Status.InvalidMemoryAccess;
      return giveToken(vm, parameters[8], () => vm.context.root.grpc.stream(method));
    },
    proxy_grpc_send(token: number, at: number, size: number, endOfStream: number): Status {
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      return vm.context.root.grpc.send(token >>> 0, vm.memory.copy(at, size), endOfStream !== 0);
    },
    proxy_grpc_cancel: (token: number): Status => vm.context.root.grpc.cancel(token >>> 0),
    proxy_grpc_close: (token: number): Status => vm.context.root.grpc.close(token >>> 0),
  };
}

/** Upstream, service, method, metadata: an address and a size of each. */
type MethodParameters = [number, number, number, number, number, number, number, number];

function readMethod({ memory }: Vm, parameters: readonly number[]): GrpcMethod | undefined {
  const [upstreamAt, upstreamSize, serviceAt, serviceSize, methodAt, methodSize, metadataAt, metadataSize] =
    parameters as MethodParameters;
  for (let i = 0; i < parameters.length; i += 2)
    if (!memory.has(parameters[i]!, parameters[i + 1]!)) return undefined;
  return {
    upstream: memory.copy(upstreamAt, upstreamSize),
    service: memory.text(serviceAt, serviceSize),
    method: memory.text(methodAt, methodSize),
    metadata: HeaderMap.from(memory.lines(metadataAt, metadataSize)).lines,
  };
}
