/** The waiting times between attempts: each twice as long as the one before, spread so that many do not come at once. */
export interface Backoff {
  /** How long to wait before the next attempt, in milliseconds, and no shorter than `atLeastMs`. */
  next(atLeastMs?: number): number;
  /** Begins anew, after a success. */
  reset(): void;
}

export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
}

export function createBackoff({ firstMs, longestMs }: BackoffOptions, random = Math.random): Backoff {
  let attempts = 0;
  return {
    next(atLeastMs = 0) {
      const whole = Math.min(longestMs, firstMs * 2 ** Math.min(attempts++, 30));
      return Math.max(atLeastMs, whole * (0.5 + random() / 2));
    },
    reset() {
      attempts = 0;
    },
  };
}
