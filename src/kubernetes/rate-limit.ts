import { setTimeout as pause } from "node:timers/promises";

/** Waits until one more request may be sent; rejects with the signal's reason. */
export type RateLimit = (signal?: AbortSignal) => Promise<void>;

/** A token bucket: `perSecond` requests on average and `burst` at once, in the order that they were asked for. */
export function createRateLimit(perSecond: number, burst: number, now = () => performance.now()): RateLimit {
  const interval = 1000 / perSecond;
  /** When the bucket is full again. */
  let full = now();
  return async (signal) => {
    signal?.throwIfAborted();
    const at = now();
    full = Math.max(full, at) + interval;
    const wait = full - at - burst * interval;
    if (wait <= 0) return;
    try {
      await pause(wait, undefined, { signal });
    } catch {
      full -= interval;
      signal?.throwIfAborted();
    }
  };
}
