import type { Log } from "../../log.ts";
import type { WorkerThread } from "./worker-thread.ts";

export interface WorkerSlotsOptions {
  readonly count: number;
  readonly log: Log;
  /** Ends the replacing. */
  readonly signal: AbortSignal;
  start(index: number): WorkerThread;
  /** What is to be done when a thread that nobody stopped has ended. */
  onEnd?(thread: WorkerThread): void;
}

/** Threads of which each is replaced when it ends. */
export interface WorkerSlots {
  all(): WorkerThread[];
  /** One of them, as soon as there is one. */
  any(): Promise<WorkerThread>;
  /** Settles when all have ended. */
  stop(limitMs: number): Promise<void>;
}

/** One that lived for longer did not end by its start. */
const shortLifeMs = 10_000;
const firstPauseMs = 100;
const maxPauseMs = 10_000;

export function createWorkerSlots({ count, log, signal, start, onEnd }: WorkerSlotsOptions): WorkerSlots {
  const slots = new Map<number, WorkerThread>();
  const waiting: ((thread: WorkerThread) => void)[] = [];
  for (let index = 0; index < count; index++) fill(index, 0);
  const all = () => [...slots.values()];
  return {
    all,
    async any() {
      const [thread] = all();
      return thread ?? new Promise<WorkerThread>((resolve) => waiting.push(resolve));
    },
    async stop(limitMs) {
      const running = all();
      for (const thread of running) thread.stop(limitMs);
      await Promise.all(running.map(({ ended }) => ended));
    },
  };

  /** `shortLives` is how many in its place have just ended soon after they began. */
  function fill(index: number, shortLives: number): void {
    const since = performance.now();
    const thread = start(index);
    slots.set(index, thread);
    for (const resolve of waiting.splice(0)) resolve(thread);
    void thread.ended.then((reason) => {
      slots.delete(index);
      if (signal.aborted) return;
      const isShort = performance.now() - since < shortLifeMs;
      // The first of a row is replaced at once.
      const pauseMs = isShort && shortLives > 0 ? Math.min(maxPauseMs, firstPauseMs * 2 ** shortLives) : 0;
      log.error({ worker: index, reason, pauseMs }, "a worker ended; another takes its place");
      onEnd?.(thread);
      setTimeout(() => signal.aborted || fill(index, isShort ? shortLives + 1 : 0), pauseMs);
    });
  }
}
