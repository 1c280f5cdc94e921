import { status } from "@grpc/grpc-js";
import { StreamRefusal } from "./stream-refusal.ts";

/** How long streams may live. */
export interface StreamLife {
  /**
   * Streams are ended in peace when they are as old, in milliseconds, and up to a tenth older, so that clients spread over
   * the servers that there are by then (istiod's `--keepaliveMaxServerConnectionAge`).
   */
  readonly maxAgeMs: number;
  /** How much longer than what proved its client a stream lives, in milliseconds. */
  readonly expiryGraceMs: number;
}

/** Streams live as long as their clients, and what proved them. */
export const endlessLife: StreamLife = { maxAgeMs: Number.POSITIVE_INFINITY, expiryGraceMs: 10_000 };

/** How a stream is ended: in peace, or with what the client is told. */
export type EndStream = (refusal?: StreamRefusal) => void;

/** The longest time that a timer takes, in milliseconds. */
const maxTimerMs = 2 ** 31 - 1;

/** Ends a stream when it is old, or when what proved its client is (`expiresAt`, ms since 1970), unless the signal aborts before. */
export function endInTime(
  { maxAgeMs, expiryGraceMs }: StreamLife,
  expiresAt: number | undefined,
  end: EndStream,
  signal: AbortSignal,
): void {
  endAfter(maxAgeMs * (1 + Math.random() / 10), () => end(), signal);
  if (expiresAt === undefined) return;
  endAfter(Math.max(0, expiresAt - Date.now()) + expiryGraceMs, () => end(expired()), signal);
}

/** Runs something after a time, unless the signal aborts before or it is longer than 24 days. Keeps no program alive. */
export function endAfter(ms: number, run: () => void, signal: AbortSignal): void {
  if (signal.aborted || ms > maxTimerMs) return;
  const timer = setTimeout(run, ms).unref();
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

function expired(): StreamRefusal {
  return new StreamRefusal(status.UNAUTHENTICATED, "the token has expired: connect again with a new one");
}
