import type { HTTPFault } from "../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import type { FractionalPercent } from "../../gen/envoy/type/v3/percent_pb.ts";
import { FractionalPercent_DenominatorType as Denominator } from "../../gen/envoy/type/v3/percent_pb.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import { durationMs } from "../duration.ts";
import { compileHeaderMatcher } from "../header-match.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";

/** Delays and aborts a share of the requests, as the route or the filter's own configuration says. */
export function createFaultFilter(name: string, own: HTTPFault): NativeFilter {
  return {
    createFor(stream, callbacks) {
      let timer: NodeJS.Timeout | undefined;
      return {
        ...passThrough,
        onHeaders(direction) {
          const config = direction === "request" ? faultFor(stream, name, own) : undefined;
          if (!config) return HeadersAction.Continue;
          const delayMs = delayOf(config);
          if (delayMs > 0) {
            stream.flags.push("DI");
            timer = setTimeout(() => {
              if (!abort(stream, config)) callbacks.resume("request");
            }, delayMs);
            return HeadersAction.StopAllIterationAndWatermark;
          }
          return abort(stream, config) ? HeadersAction.StopAllIterationAndWatermark : HeadersAction.Continue;
        },
        onDestroy: () => clearTimeout(timer),
      };
    },
  };
}

function faultFor(stream: HttpStream, name: string, own: HTTPFault): HTTPFault | undefined {
  const config = stream.perFilter(name);
  if (config?.kind === "disabled") return undefined;
  const fault = config?.kind === "fault" ? config.config : own;
  const { headers } = stream.chain.request;
  const matches = headers && fault.headers.every((matcher) => compileHeaderMatcher(matcher)(headers));
  return matches ? fault : undefined;
}

function delayOf({ delay }: HTTPFault): number {
  const specifier = delay?.faultDelaySecifier;
  if (specifier?.case !== "fixedDelay" || !isDrawn(delay?.percentage)) return 0;
  return durationMs(specifier.value, 0);
}

function abort(stream: HttpStream, { abort: fault }: HTTPFault): boolean {
  if (fault?.errorType.case !== "httpStatus" || !isDrawn(fault.percentage)) return false;
  stream.reply(gatewayReply(fault.errorType.value, "fault filter abort", "fault_filter_abort", "FI"));
  return true;
}

const denominators: Readonly<Record<Denominator, number>> = {
  [Denominator.HUNDRED]: 100,
  [Denominator.TEN_THOUSAND]: 10_000,
  [Denominator.MILLION]: 1_000_000,
};

/** Whether a request is among the share. */
export function isDrawn(percent: FractionalPercent | undefined): boolean {
  if (!percent || percent.numerator === 0) return false;
  return Math.random() * denominators[percent.denominator] < percent.numerator;
}
