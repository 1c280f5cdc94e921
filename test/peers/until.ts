import { setTimeout as pause } from "node:timers/promises";

/**
 * Polls until a condition holds (is neither undefined nor false nor throws) and gives its value. Fails with the last
 * error, or with what was waited for, when the time is over.
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T> | T,
  timeoutMs = 20_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs;
  let failure: unknown;
  while (performance.now() < end) {
    try {
      const value = await condition();
      if (value !== undefined && value !== null && value !== false) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await pause(5);
  }
  throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: failure });
}
