import type { Stores } from "../proxy-wasm/index.ts";

/** Token buckets that are the same for all threads, by the place where they are configured. */
export interface SharedBuckets {
  /** Takes a token, if there is one. A bucket begins full, and anew when its limit is another. */
  take(place: string, limit: TokenLimit): boolean;
}

export interface TokenLimit {
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillMs: number;
}

interface Bucket {
  readonly tokens: number;
  readonly filledAt: number;
}

/** No guest's: theirs are names in configurations. */
const owner = "\0local_ratelimit";
/** Each time that another thread was faster. */
const maxAttempts = 1000;

/** Buckets beside what guests share. The clock is the system's, so that all threads have the same. */
export function createSharedBuckets(
  stores: Stores,
  nowMs: () => number = () => Number(process.hrtime.bigint() / 1000n) / 1000,
): SharedBuckets {
  const data = stores.sharedData(owner);
  return {
    take(place, limit) {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const known = data.get(place);
        const found = known && decode(known.value, limit);
        const bucket = fill(found ?? { tokens: limit.maxTokens, filledAt: nowMs() }, limit, nowMs());
        if (bucket.tokens < 1) return false;
        const left = encode({ ...bucket, tokens: bucket.tokens - 1 }, limit);
        const isSet = data.set(place, left, known?.cas ?? 0);
        // Where there is no room nothing is limited.
        if (isSet) return true;
      }
      return true;
    },
  };
}

function fill(
  { tokens, filledAt }: Bucket,
  { maxTokens, tokensPerFill, fillMs }: TokenLimit,
  now: number,
): Bucket {
  const times = Math.max(0, Math.floor((now - filledAt) / fillMs));
  return { tokens: Math.min(maxTokens, tokens + times * tokensPerFill), filledAt: filledAt + times * fillMs };
}

function encode({ tokens, filledAt }: Bucket, { maxTokens, tokensPerFill, fillMs }: TokenLimit): Uint8Array {
  return new Uint8Array(Float64Array.of(maxTokens, tokensPerFill, fillMs, tokens, filledAt).buffer);
}

/** Undefined if it was another limit's. */
function decode(bytes: Uint8Array, limit: TokenLimit): Bucket | undefined {
  const [maxTokens, tokensPerFill, fillMs, tokens = 0, filledAt = 0] = new Float64Array(bytes.slice().buffer);
  const isSame =
    maxTokens === limit.maxTokens && tokensPerFill === limit.tokensPerFill && fillMs === limit.fillMs;
  return isSame ? { tokens, filledAt } : undefined;
}
