/** A signal that aborts with another one, or when time is over: then its reason is a TimeoutError, as AbortSignal.timeout has it. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Whether it was the time that was over. */
  readonly isOver: boolean;
  /** Begins to wait anew. */
  extend(ms?: number): void;
  /** Has to be called in the end: it aborts, and lets go of the other signal. */
  end(): void;
}

/** One for all: an error of its own, with its stack, for each request that went well is what a storm of them leaves behind. */
const ended = new DOMException("what it was for has ended", "AbortError");

/** Unlike AbortSignal.any, which in Node 20 leaves something behind at a long-lived signal each time. */
export function createDeadline(ms: number, other?: AbortSignal): Deadline {
  const controller = new AbortController();
  let isOver = false;
  let lengthMs = ms;
  const expire = () => {
    isOver = true;
    controller.abort(new DOMException("no answer in time", "TimeoutError"));
  };
  const follow = () => controller.abort(other?.reason);
  let timer = setTimeout(expire, lengthMs);
  if (other?.aborted) follow();
  other?.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    get isOver() {
      return isOver;
    },
    extend(newMs = lengthMs) {
      if (newMs === lengthMs) return void timer.refresh();
      lengthMs = newMs;
      clearTimeout(timer);
      timer = setTimeout(expire, lengthMs);
    },
    end() {
      clearTimeout(timer);
      other?.removeEventListener("abort", follow);
      controller.abort(ended);
    },
  };
}
