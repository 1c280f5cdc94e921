import type { FaultDelay } from "../../gen/envoy/extensions/filters/common/fault/v3/fault_pb.ts";
import type { FaultAbort, HTTPFault } from "../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import type { FractionalPercent } from "../../gen/envoy/type/v3/percent_pb.ts";
import type { HeaderMap } from "../../proxy-wasm/header-map.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import { durationMs } from "../duration.ts";
import { compileHeaderMatcher, type HeaderTest } from "../header-match.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import { refuse, withinEach } from "../refused-config.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";
import { isDrawn } from "./percent.ts";

/** What goes wrong on purpose, compiled. */
export interface Fault {
  readonly matches: (headers: HeaderMap) => boolean;
  /** Empty for any. */
  readonly cluster: string;
  readonly delay: FaultDelay | undefined;
  readonly abort: FaultAbort | undefined;
  /** How many requests may be delayed at a time. */
  readonly maxActive: number;
  /** Of those that are delayed now. */
  readonly active: { count: number };
}

/** Compiles Envoy's HTTPFault. Throws RefusedConfig. */
export function compileFault(from: HTTPFault): Fault {
  if (from.responseRateLimit) refuse("response_rate_limit", "is not supported");
  const tests: HeaderTest[] = withinEach("headers", from.headers, compileHeaderMatcher);
  const nodes = new Set(from.downstreamNodes);
  const isNode: HeaderTest = (headers) => nodes.has(headers.get("x-envoy-downstream-service-node") ?? "");
  return {
    matches: (headers) => (nodes.size === 0 || isNode(headers)) && tests.every((test) => test(headers)),
    cluster: from.upstreamCluster,
    delay: from.delay,
    abort: from.abort,
    maxActive: from.maxActiveFaults ?? Number.POSITIVE_INFINITY,
    active: { count: 0 },
  };
}

/** Delays and aborts a share of the requests, as the route or the filter's own configuration says. */
export function createFaultFilter(name: string, own: Fault): NativeFilter {
  return {
    createFor(stream, callbacks) {
      let end = () => {};
      return {
        ...passThrough,
        onHeaders(direction) {
          const headers = direction === "request" ? stream.chain.request.headers : undefined;
          const fault = headers && faultFor(stream, name, own, headers);
          if (!fault) return HeadersAction.Continue;
          const delayMs = delayOf(fault, headers);
          if (delayMs === undefined)
            return abort(stream, fault, headers)
              ? HeadersAction.StopAllIterationAndWatermark
              : HeadersAction.Continue;
          stream.flags.push("DI");
          end = delayed(fault, delayMs, () => {
            if (!abort(stream, fault, headers)) callbacks.resume("request");
          });
          return HeadersAction.StopAllIterationAndWatermark;
        },
        onDestroy: () => end(),
      };
    },
  };
}

/** Calls back later; gives how to end it, before or after that. */
function delayed({ active }: Fault, ms: number, then: () => void): () => void {
  active.count++;
  let isActive = true;
  const end = () => {
    if (isActive) active.count--;
    isActive = false;
    clearTimeout(timer);
  };
  const timer = setTimeout(() => {
    end();
    then();
  }, ms);
  return end;
}

function faultFor(stream: HttpStream, name: string, own: Fault, headers: HeaderMap): Fault | undefined {
  const ofRoute = stream.perFilter(name);
  const fault = ofRoute?.kind === "fault" ? ofRoute.config : own;
  if (fault.cluster !== "" && fault.cluster !== stream.route()?.cluster) return undefined;
  return fault.matches(headers) && fault.active.count < fault.maxActive ? fault : undefined;
}

function delayOf({ delay }: Fault, headers: HeaderMap): number | undefined {
  const by = delay?.faultDelaySecifier;
  if (by?.case === "fixedDelay")
    return isDrawn(delay?.percentage) ? durationMs(by.value, 0) || undefined : undefined;
  if (by?.case !== "headerDelay") return undefined;
  const ms = numberOf(headers, "x-envoy-fault-delay-request");
  if (ms === undefined) return undefined;
  const share = shareOf(headers, "x-envoy-fault-delay-request-percentage", delay?.percentage);
  return isDrawn(share) ? ms : undefined;
}

interface Status {
  readonly status: number;
  readonly grpcStatus: number | undefined;
}

function abort(stream: HttpStream, { abort: fault }: Fault, headers: HeaderMap): boolean {
  const chosen = fault && statusOf(fault, headers);
  if (!chosen) return false;
  const reply = gatewayReply(chosen.status, "fault filter abort", "fault_filter_abort", "FI");
  stream.reply({ ...reply, grpcStatus: chosen.grpcStatus });
  return true;
}

function statusOf({ errorType: by, percentage }: FaultAbort, headers: HeaderMap): Status | undefined {
  if (by.case === "httpStatus" && isDrawn(percentage)) return { status: by.value, grpcStatus: undefined };
  if (by.case === "grpcStatus" && isDrawn(percentage)) return { status: 200, grpcStatus: by.value };
  if (by.case !== "headerAbort") return undefined;
  if (!isDrawn(shareOf(headers, "x-envoy-fault-abort-request-percentage", percentage))) return undefined;
  const status = numberOf(headers, "x-envoy-fault-abort-request");
  if (status !== undefined && status >= 200 && status < 600) return { status, grpcStatus: undefined };
  const grpc = numberOf(headers, "x-envoy-fault-abort-grpc-request");
  return grpc === undefined ? undefined : { status: 200, grpcStatus: grpc };
}

/** A request may ask for less than the configured share, and not for more. */
function shareOf(
  headers: HeaderMap,
  name: string,
  percentage: FractionalPercent | undefined,
): FractionalPercent | undefined {
  const numerator = numberOf(headers, name);
  if (!percentage || numerator === undefined) return percentage;
  return { ...percentage, numerator: Math.min(numerator, percentage.numerator) };
}

function numberOf(headers: HeaderMap, name: string): number | undefined {
  const value = headers.get(name);
  return value !== undefined && /^\s*\d{1,9}\s*$/.test(value) ? Number(value) : undefined;
}
