import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/base_pb.ts";
import type { LocalRateLimit } from "../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { HeaderMap } from "../../proxy-wasm/header-map.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import { durationMs } from "../duration.ts";
import { applyHeaderEdits, compileHeaderRules } from "../header-rules.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import { refuse } from "../refused-config.ts";
import type { HeaderEdits } from "../route-table.ts";
import type { TokenLimit } from "../shared-buckets.ts";
import { valuesOf } from "../stream-values.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";
import { isDrawn } from "./percent.ts";
import { type Spent, takeToken } from "./token-bucket.ts";

/** A token bucket's size, with what is done when it is empty. */
export interface RateLimit {
  readonly from: LocalRateLimit;
  readonly status: number;
  readonly tokens: TokenLimit;
  readonly response: HeaderEdits;
  readonly request: HeaderEdits;
}

const tooMany = 429;
const resourceExhausted = 8;
/** What fractions of tokens may be off by. */
const roundingSeconds = 1e-3;

/** Compiles Envoy's LocalRateLimit; undefined where it has no bucket. Throws RefusedConfig. */
export function compileRateLimit(from: LocalRateLimit): RateLimit | undefined {
  if (from.descriptors.length > 0) refuse("descriptors", "are not supported");
  const { tokenBucket } = from;
  if (!tokenBucket) return undefined;
  const { maxTokens, tokensPerFill = 1, fillInterval } = tokenBucket;
  const code = from.status?.code ?? 0;
  return {
    from,
    status: code >= 400 ? code : tooMany,
    tokens: { maxTokens, tokensPerFill, fillMs: Math.max(1, durationMs(fillInterval, 1000)) },
    response: editsOf(from.responseHeadersToAdd),
    request: editsOf(from.requestHeadersToAddWhenNotEnforced),
  };
}

function editsOf(options: readonly HeaderValueOption[]): HeaderEdits {
  const none = { requestHeadersToRemove: [], responseHeadersToAdd: [], responseHeadersToRemove: [] };
  return compileHeaderRules({ requestHeadersToAdd: options, ...none }).request;
}

/** Lets as many requests pass as the token bucket of the route, or of the filter, has tokens. */
export function createLocalRateLimitFilter(name: string, own: RateLimit | undefined): NativeFilter {
  return {
    createFor(stream) {
      let spent: Spent | undefined;
      let showsLimits = false;
      let isRefused = false;
      return {
        ...passThrough,
        onHeaders(direction, headers) {
          if (direction === "response") {
            // As Envoy: behind the reply, which does not show it.
            if (isRefused) stream.flags.push("RL");
            if (spent && showsLimits) addLimits(headers, spent);
            return HeadersAction.Continue;
          }
          const limit = limitFor(stream, name, own);
          if (!limit) return HeadersAction.Continue;
          showsLimits = limit.from.enableXRatelimitHeaders > 0;
          spent = takeToken(stream, name, limit);
          if (spent.isTaken) return HeadersAction.Continue;
          if (!isDrawn(limit.from.filterEnforced?.defaultValue)) {
            applyHeaderEdits(headers, limit.request, valuesOf(stream));
            return HeadersAction.Continue;
          }
          isRefused = true;
          refuseRequest(stream, limit);
          return HeadersAction.StopAllIterationAndWatermark;
        },
      };
    },
  };
}

function refuseRequest(stream: HttpStream, { status, response, from }: RateLimit): void {
  const headers = new HeaderMap();
  applyHeaderEdits(headers, response, valuesOf(stream));
  const reply = gatewayReply(status, "local_rate_limited", "local_rate_limited", "", headers.lines);
  stream.reply({ ...reply, grpcStatus: from.rateLimitedAsResourceExhausted ? resourceExhausted : undefined });
}

function limitFor(stream: HttpStream, name: string, own: RateLimit | undefined): RateLimit | undefined {
  const ofRoute = stream.perFilter(name);
  const limit = ofRoute?.kind === "local_ratelimit" ? ofRoute.config : own;
  return limit && isDrawn(limit.from.filterEnabled?.defaultValue) ? limit : undefined;
}

/** How much there is, and in how many seconds there is one more. */
function addLimits(headers: HeaderMap, { tokens, limit }: Spent): void {
  const { maxTokens, tokensPerFill, fillMs } = limit;
  const seconds = (Math.max(0, 1 - tokens) * fillMs) / tokensPerFill / 1000;
  headers.add("x-ratelimit-limit", String(maxTokens));
  headers.add("x-ratelimit-remaining", String(Math.floor(tokens)));
  headers.add("x-ratelimit-reset", String(Math.ceil(seconds - roundingSeconds)));
}
