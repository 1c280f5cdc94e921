import type { Worker } from "node:worker_threads";
import type { CaseJob } from "../job.ts";
import { startBuilt } from "../run-cases.ts";

/** A thread for test cases that was started before it is needed: to load what it runs takes longer than to run it. */
export interface SpareWorker {
  /** Gives the thread a job, or a new one where there is none. */
  take(job: CaseJob): Worker;
  /** Starts the thread in a while, if there is none then: what has just passed its tests is on its way into effect. */
  prepare(): void;
}

const restMs = 500;

/** The thread ends with the signal. */
export function createSpareWorker(signal: AbortSignal): SpareWorker {
  let spare: Worker | undefined;
  signal.addEventListener("abort", () => void spare?.terminate(), { once: true });
  return {
    take(job) {
      const worker = spare;
      spare = undefined;
      if (!worker) return startBuilt(job);
      worker.removeAllListeners("exit");
      worker.postMessage(job);
      return worker;
    },
    prepare() {
      setTimeout(start, restMs).unref();
    },
  };

  function start(): void {
    if (spare || signal.aborted) return;
    const worker = startBuilt(null);
    spare = worker;
    // What ends by itself is none.
    worker.once("exit", () => {
      if (spare === worker) spare = undefined;
    });
    worker.on("error", () => {});
  }
}
