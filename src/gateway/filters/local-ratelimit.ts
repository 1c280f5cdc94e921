import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/base_pb.ts";
import type { LocalRateLimit } from "../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { getOrCreate } from "../../get-or-create.ts";
import { HeaderMap } from "../../proxy-wasm/header-map.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import { durationMs } from "../duration.ts";
import { applyHeaderEdits, compileHeaderRules } from "../header-rules.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import { refuse } from "../refused-config.ts";
import type { HeaderEdits } from "../route-table.ts";
import { valuesOf } from "../stream-values.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";
import { isDrawn } from "./percent.ts";

/** A token bucket with what is done when it is empty. */
export interface RateLimit {
  readonly from: LocalRateLimit;
  readonly status: number;
  readonly bucket: Bucket;
  readonly response: HeaderEdits;
  readonly request: HeaderEdits;
}

interface Bucket {
  readonly maxTokens: number;
  readonly tokensPerMs: number;
  tokens: number;
  filledAt: number;
}

/** As in Envoy a connection has one bucket, made by the first configuration that wants it to have one. */
const ofConnections = new WeakMap<object, Bucket>();

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
    bucket: {
      maxTokens,
      tokensPerMs: tokensPerFill / Math.max(1, durationMs(fillInterval, 1000)),
      tokens: maxTokens,
      filledAt: performance.now(),
    },
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
      let limit: RateLimit | undefined;
      let bucket: Bucket | undefined;
      let isRefused = false;
      return {
        ...passThrough,
        onHeaders(direction, headers) {
          if (direction === "response") {
            // As Envoy: behind the reply, which does not show it.
            if (isRefused) stream.flags.push("RL");
            if (limit && bucket && limit.from.enableXRatelimitHeaders) addLimits(headers, bucket);
            return HeadersAction.Continue;
          }
          limit = limitFor(stream, name, own);
          if (!limit) return HeadersAction.Continue;
          bucket = bucketOf(limit, stream);
          if (takeToken(bucket)) return HeadersAction.Continue;
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

function bucketOf({ bucket, from }: RateLimit, { downstream: { connection } }: HttpStream): Bucket {
  if (!from.localRateLimitPerDownstreamConnection) return bucket;
  return getOrCreate(ofConnections, connection, () => ({
    ...bucket,
    tokens: bucket.maxTokens,
    filledAt: performance.now(),
  }));
}

/** As Envoy's bucket: it fills all the time, by parts of tokens. */
function takeToken(bucket: Bucket): boolean {
  const { maxTokens, tokensPerMs } = bucket;
  const now = performance.now();
  bucket.tokens = Math.min(maxTokens, bucket.tokens + (now - bucket.filledAt) * tokensPerMs);
  bucket.filledAt = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens--;
  return true;
}

/** How much there is, and in how many seconds there is one more. */
function addLimits(headers: HeaderMap, { maxTokens, tokensPerMs, tokens }: Bucket): void {
  const missing = Math.max(0, 1 - tokens);
  headers.add("x-ratelimit-limit", String(maxTokens));
  headers.add("x-ratelimit-remaining", String(Math.floor(tokens)));
  headers.add("x-ratelimit-reset", String(Math.ceil(missing / tokensPerMs / 1000 - roundingSeconds)));
}
