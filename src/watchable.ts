/**
 * A value that stations store into and later stations are subscribed to: set, then notify; the latest value wins.
 * The only concurrency primitive between stations.
 */
export interface Watchable<T> {
  /** The latest value; undefined until the first `set`. */
  readonly value: T | undefined;
  /** Stores a value and notifies, synchronously and in order of subscription. The same reference again is no change. */
  set(value: T): void;
  /** Calls `listener` with the current value, if there is one, and then with each new one until `signal` aborts. */
  watch(listener: (value: T) => void, signal?: AbortSignal): void;
}

export function createWatchable<T>(initial?: T): Watchable<T> {
  const listeners = new Set<(value: T) => void>();
  let current = initial;
  return {
    get value() {
      return current;
    },
    set(value) {
      if (value === current) return;
      current = value;
      for (const listener of [...listeners]) {
        // A listener that set a newer value has already notified the others of it.
        if (current !== value) return;
        if (listeners.has(listener)) listener(value);
      }
    },
    watch(listener, signal) {
      if (signal?.aborted) return;
      // One of its own each time: the same function may be subscribed twice, with signals of their own.
      const subscriber = (value: T) => listener(value);
      listeners.add(subscriber);
      signal?.addEventListener("abort", () => listeners.delete(subscriber), { once: true });
      if (current !== undefined) listener(current);
    },
  };
}

/** Resolves with the first value that `accept` takes, the current one included. Rejects with the signal's reason. */
export function firstValue<T>(
  source: Watchable<T>,
  accept: (value: T) => boolean = () => true,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const abort = () => {
      done.abort();
      reject(signal?.reason);
    };
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true, signal: done.signal });
    source.watch((value) => {
      if (!accept(value)) return;
      done.abort();
      resolve(value);
    }, done.signal);
  });
}

/** Runs below this many milliseconds need no rest. */
const shortRunMs = 4;

/**
 * Makes a trigger for `run` that has no fixed delay: the first call runs at the end of the current turn of the event
 * loop. Calls that come while it runs, or while it rests, are one run afterwards. It rests as long as its last run took,
 * if that was not short (at most `maxRestMs`), so that a single change leaves at once and a storm takes at most half of the processor.
 * What `run` throws goes to `onError`, by default as a warning of the process, and stops nothing.
 */
export function coalesce(
  run: () => void | Promise<void>,
  maxRestMs = 100,
  onError: (error: unknown) => void = warn,
): () => void {
  let state: "idle" | "scheduled" | "busy" = "idle";
  let again = false;
  const start = async () => {
    state = "busy";
    again = false;
    const began = performance.now();
    try {
      await run();
    } catch (error) {
      onError(error);
    } finally {
      const rest = Math.min(performance.now() - began, maxRestMs);
      if (rest >= shortRunMs) setTimeout(finish, rest);
      else finish();
    }
  };
  const finish = () => {
    state = "idle";
    if (again) trigger();
  };
  const trigger = () => {
    if (state === "busy") again = true;
    if (state !== "idle") return;
    state = "scheduled";
    setImmediate(start);
  };
  return trigger;
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
