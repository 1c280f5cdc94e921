import { Status } from "../abi.ts";
import { HeaderMap } from "../header-map.ts";
import type { Begun } from "../pending-calls.ts";
import type { Vm } from "../vm.ts";

/** Requests that plugins make by HTTP and DNS, and why the last one failed. */
export function callFunctions(vm: Vm) {
  return {
    proxy_http_call: (...parameters: HttpCallParameters) => httpCall(vm, parameters),
    proxy_get_status(codeAt: number, textAt: number, sizeAt: number): Status {
      const { calls } = vm.context.root;
      return (vm.memory.setUint32(codeAt, calls.statusCode) ||
        vm.memory.giveText(calls.statusText, textAt, sizeAt)) as Status;
    },
    envoy_resolve_dns(nameAt: number, nameSize: number, tokenAt: number): Status {
      if (!vm.memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      return giveToken(vm, tokenAt, () => vm.context.root.calls.dns(vm.memory.text(nameAt, nameSize)));
    },
  };
}

/** Begins a call and writes its token; with nowhere to write it, nothing begins. */
export function giveToken(vm: Vm, tokenAt: number, begin: () => Begun): Status {
  if (!vm.memory.has(tokenAt, 4)) return Status.InvalidMemoryAccess;
  const begun = begin();
  return "token" in begun ? vm.memory.setUint32(tokenAt, begun.token) : begun.status;
}

type HttpCallParameters = [
  upstreamAt: number,
  upstreamSize: number,
  headersAt: number,
  headersSize: number,
  bodyAt: number,
  bodySize: number,
  trailersAt: number,
  trailersSize: number,
  timeoutMs: number,
  tokenAt: number,
];

function httpCall(vm: Vm, parameters: HttpCallParameters): Status {
  const [upstreamAt, upstreamSize, headersAt, headersSize, bodyAt, bodySize, trailersAt, trailersSize] =
    parameters;
  const [timeoutMs, tokenAt] = parameters.slice(8) as [number, number];
  const { memory } = vm;
  const all = [upstreamAt, upstreamSize, headersAt, headersSize, bodyAt, bodySize, trailersAt, trailersSize];
  for (let i = 0; i < all.length; i += 2)
    if (!memory.has(all[i]!, all[i + 1]!)) return Status.InvalidMemoryAccess;
  const headers = HeaderMap.from(memory.lines(headersAt, headersSize));
  const complete = [":path", ":method", ":authority"].every((name) => headers.get(name) !== undefined);
  if (!complete || timeoutMs < 0) return Status.BadArgument;
  if (bodySize !== 0) headers.replace("content-length", String(bodySize >>> 0));
  return giveToken(vm, tokenAt, () =>
    vm.context.root.calls.http({
      upstream: memory.text(upstreamAt, upstreamSize),
      headers: headers.lines,
      body: memory.copy(bodyAt, bodySize),
      trailers: HeaderMap.from(memory.lines(trailersAt, trailersSize)).lines,
      timeoutMs: timeoutMs === 0 ? undefined : timeoutMs,
    }),
  );
}
