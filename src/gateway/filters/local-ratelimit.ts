import type { LocalRateLimit } from "../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import { durationMs } from "../duration.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import type { PerFilter } from "../route-table.ts";
import { isDrawn } from "./fault.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** By configuration: a route's bucket is its own. */
const buckets = new WeakMap<LocalRateLimit, Bucket>();
const tooMany = 429;

/** Lets as many requests pass as the token bucket of the route, or of the filter, has tokens. */
export function createLocalRateLimitFilter(name: string, own: LocalRateLimit): NativeFilter {
  return {
    createFor: (stream) => ({
      ...passThrough,
      onHeaders(direction) {
        if (direction === "response") return HeadersAction.Continue;
        const config = limitFor(stream, name, own);
        if (!config || takeTokenOf(stream, name, config) || !isDrawn(config.filterEnforced?.defaultValue))
          return HeadersAction.Continue;
        const headers = config.responseHeadersToAdd.map(
          ({ header }) => [header?.key.toLowerCase() ?? "", header?.value ?? ""] as const,
        );
        const status = config.status?.code || tooMany;
        const lines = [["x-envoy-ratelimited", "true"] as const, ...headers];
        stream.reply(gatewayReply(status, "local_rate_limited", "local_rate_limited", "RL", lines));
        return HeadersAction.StopAllIterationAndWatermark;
      },
    }),
  };
}

function limitFor(stream: HttpStream, name: string, own: LocalRateLimit): LocalRateLimit | undefined {
  const config = stream.perFilter(name);
  if (config?.kind === "disabled") return undefined;
  const limit = config?.kind === "local_ratelimit" ? config.config : own;
  return limit.tokenBucket && isDrawn(limit.filterEnabled?.defaultValue) ? limit : undefined;
}

function takeTokenOf(stream: HttpStream, name: string, config: LocalRateLimit): boolean {
  const { buckets: shared } = stream;
  if (!shared) return takeToken(config);
  const { maxTokens, tokensPerFill = 1, fillInterval } = config.tokenBucket!;
  const fillMs = Math.max(1, durationMs(fillInterval, 1000));
  return shared.take(placeOf(stream, name, config), { maxTokens, tokensPerFill, fillMs });
}

/** What a limit is called in all threads: the filter, or where in the routes it stands. */
function placeOf({ plan, selected }: HttpStream, name: string, config: LocalRateLimit): string {
  const { listener, filterChain } = plan.names;
  const is = (perFilter: PerFilter | undefined) => {
    const found = perFilter?.get(name);
    return found?.kind === "local_ratelimit" && found.config === config;
  };
  const { table, virtualHost, route, weighted } = selected ?? {};
  const inTable = [table?.name, virtualHost?.name, virtualHost?.routes.indexOf(route!), weighted?.name];
  const levels = [table, virtualHost, route, weighted].findIndex((level) => is(level?.perFilter)) + 1;
  // Routes by name are the same for all listeners.
  const isOwn = levels === 0 || plan.http.routes.kind === "table";
  return JSON.stringify([name, ...(isOwn ? [listener, filterChain] : []), ...inTable.slice(0, levels)]);
}

function takeToken(config: LocalRateLimit): boolean {
  const { maxTokens, tokensPerFill, fillInterval } = config.tokenBucket!;
  const now = performance.now();
  const bucket = buckets.get(config) ?? { tokens: maxTokens, filledAt: now };
  buckets.set(config, bucket);
  const intervals = Math.floor((now - bucket.filledAt) / Math.max(1, durationMs(fillInterval, 1000)));
  if (intervals > 0) {
    bucket.tokens = Math.min(maxTokens, bucket.tokens + intervals * (tokensPerFill ?? 1));
    bucket.filledAt += intervals * Math.max(1, durationMs(fillInterval, 1000));
  }
  if (bucket.tokens < 1) return false;
  bucket.tokens--;
  return true;
}
