import { Status, StreamType } from "../abi.ts";
import type { Vm } from "../vm.ts";

const lastGrpcStatus = 16;

/** What becomes of a stream, and which context a callback works on. */
export function streamFunctions(vm: Vm) {
  return {
    proxy_continue_stream(type: number): Status {
      return type >>> 0 > StreamType.Upstream
        ? Status.BadArgument
        : vm.context.continueStream(type as StreamType);
    },
    proxy_close_stream(type: number): Status {
      return type >>> 0 > StreamType.Upstream
        ? Status.BadArgument
        : vm.context.closeStream(type as StreamType);
    },
    proxy_continue_request: (): Status => vm.context.continueStream(StreamType.Request),
    proxy_continue_response: (): Status => vm.context.continueStream(StreamType.Response),
    proxy_clear_route_cache: (): Status => vm.context.clearRouteCache(),
    proxy_send_local_response: (...parameters: LocalResponseParameters) => sendLocalResponse(vm, parameters),
    proxy_set_effective_context: (id: number): Status =>
      vm.setEffectiveContext(id >>> 0) ? Status.Ok : Status.BadArgument,
    proxy_done: (): Status => vm.context.root.done(),
    proxy_inject_encoded_data_to_filter_chain(at: number, size: number, endOfStream: number): Status {
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      return vm.context.injectResponseBody(vm.memory.copy(at, size), endOfStream !== 0);
    },
  };
}

type LocalResponseParameters = [
  status: number,
  detailsAt: number,
  detailsSize: number,
  bodyAt: number,
  bodySize: number,
  headersAt: number,
  headersSize: number,
  grpcStatus: number,
];

function sendLocalResponse(vm: Vm, parameters: LocalResponseParameters): Status {
  const [status, detailsAt, detailsSize, bodyAt, bodySize, headersAt, headersSize, grpcStatus] = parameters;
  const { memory } = vm;
  if (
    !memory.has(detailsAt, detailsSize) ||
    !memory.has(bodyAt, bodySize) ||
    !memory.has(headersAt, headersSize)
  )
    return Status.InvalidMemoryAccess;
  return vm.context.sendLocalResponse({
    status: status >>> 0,
    headers: memory.lines(headersAt, headersSize),
    body: memory.copy(bodyAt, bodySize),
    grpcStatus: grpcStatus >= 0 && grpcStatus <= lastGrpcStatus ? grpcStatus : undefined,
    // As Envoy, so that an access log stays one word a field.
    details: memory.text(detailsAt, detailsSize).replace(/\s/g, "_"),
  });
}
