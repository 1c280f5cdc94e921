import { getOrCreate } from "../../get-or-create.ts";
import type { HttpStream } from "../http-stream.ts";
import type { PerFilter } from "../route-table.ts";
import { spendToken, type TokenBucket, type TokenLimit } from "../shared-buckets.ts";
import type { RateLimit } from "./local-ratelimit.ts";

/** What was left of a bucket when a request had asked it. */
export interface Spent {
  readonly isTaken: boolean;
  readonly tokens: number;
  readonly limit: TokenLimit;
}

interface OwnBucket extends TokenBucket {
  readonly limit: TokenLimit;
}

/** In a gateway of one thread, by configuration: a route's bucket is its own. */
const ofLimits = new WeakMap<RateLimit, OwnBucket>();
/** As in Envoy a connection has one bucket, made by the first configuration that wants it to have one. */
const ofConnections = new WeakMap<object, OwnBucket>();

/** Takes a token of the bucket that a stream's limit has: of the connection, of all threads, or of this one. */
export function takeToken(stream: HttpStream, name: string, rateLimit: RateLimit): Spent {
  const { tokens: limit, from } = rateLimit;
  const full = (): OwnBucket => ({ limit, tokens: limit.maxTokens, filledAt: performance.now() });
  if (from.localRateLimitPerDownstreamConnection)
    return takeOwn(getOrCreate(ofConnections, stream.downstream.connection.count, full));
  const { buckets: shared } = stream;
  if (!shared) return takeOwn(getOrCreate(ofLimits, rateLimit, full));
  return { ...shared.take(placeOf(stream, name, rateLimit), limit), limit };
}

function takeOwn(bucket: OwnBucket): Spent {
  const { limit } = bucket;
  const { isTaken, tokens, filledAt } = spendToken(bucket, limit, performance.now());
  Object.assign(bucket, { tokens, filledAt });
  return { isTaken, tokens, limit };
}

/** What a limit is called in all threads: the filter, or where in the routes it stands. */
function placeOf({ plan, selected }: HttpStream, name: string, limit: RateLimit): string {
  const { listener, filterChain } = plan.names;
  const is = (perFilter: PerFilter | undefined) => {
    const found = perFilter?.get(name);
    return found?.kind === "local_ratelimit" && found.config === limit;
  };
  const { table, virtualHost, route, weighted } = selected ?? {};
  const inTable = [table?.name, virtualHost?.name, virtualHost?.routes.indexOf(route!), weighted?.name];
  const levels = [table, virtualHost, route, weighted].findIndex((level) => is(level?.perFilter)) + 1;
  // Routes by name are the same for all listeners.
  const isOwn = levels === 0 || plan.http.routes.kind === "table";
  return JSON.stringify([name, ...(isOwn ? [listener, filterChain] : []), ...inTable.slice(0, levels)]);
}
