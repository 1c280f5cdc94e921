import type { Stores } from "../proxy-wasm/index.ts";

/** Token buckets that are the same for all threads, by the place where they are configured. */
export interface SharedBuckets {
  /** Takes a token, if there is one. A bucket begins full, and anew when its limit is another. */
  take(place: string, limit: TokenLimit): Taken;
}

export interface TokenLimit {
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillMs: number;
}

export interface TokenBucket {
  readonly tokens: number;
  /** Milliseconds. */
  readonly filledAt: number;
}

/** Whether there was a token, and what there is now. */
export interface Taken {
  readonly isTaken: boolean;
  readonly tokens: number;
}

/** Takes a token of a bucket. As Envoy's it fills all the time, by parts of tokens. */
export function spendToken(bucket: TokenBucket, limit: TokenLimit, now: number): TokenBucket & Taken {
  const { maxTokens, tokensPerFill, fillMs } = limit;
  const added = (Math.max(0, now - bucket.filledAt) * tokensPerFill) / fillMs;
  const tokens = Math.min(maxTokens, bucket.tokens + added);
  return tokens < 1
    ? { isTaken: false, tokens, filledAt: now }
    : { isTaken: true, tokens: tokens - 1, filledAt: now };
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
        const now = nowMs();
        const found = known && decode(known.value, limit);
        const spent = spendToken(found ?? { tokens: limit.maxTokens, filledAt: now }, limit, now);
        // What nobody took anything from stays: it fills by the time that has passed.
        if (!spent.isTaken) return spent;
        const isSet = data.set(place, encode(spent, limit), known?.cas ?? 0);
        // Where there is no room nothing is limited.
        if (isSet) return spent;
      }
      return { isTaken: true, tokens: 0 };
    },
  };
}

function encode(
  { tokens, filledAt }: TokenBucket,
  { maxTokens, tokensPerFill, fillMs }: TokenLimit,
): Uint8Array {
  return new Uint8Array(Float64Array.of(maxTokens, tokensPerFill, fillMs, tokens, filledAt).buffer);
}

/** Undefined if it was another limit's. */
function decode(bytes: Uint8Array, limit: TokenLimit): TokenBucket | undefined {
  const [maxTokens, tokensPerFill, fillMs, tokens = 0, filledAt = 0] = new Float64Array(bytes.slice().buffer);
  const isSame =
    maxTokens === limit.maxTokens && tokensPerFill === limit.tokensPerFill && fillMs === limit.fillMs;
  return isSame ? { tokens, filledAt } : undefined;
}
