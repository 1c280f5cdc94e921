import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { createHeartbeat, watchHeartbeat } from "../proxy-wasm/index.ts";
import { errorText, SystemError } from "../system-error.ts";
import type { CaseJob, CaseMessage, CaseRun, CaseTask } from "./job.ts";

export interface RunCasesOptions {
  /** How long a guest may run in one piece; 5 s if it is left out. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  /** Starts the thread where the sources are not what Node runs. */
  readonly startWorker?: (job: CaseJob) => Worker;
}

/** Hears of each case, in their order. */
export interface CaseListener {
  onPart?(run: CaseRun, part: unknown): void;
  /** Called once for each case; `broken` says why there is no result. */
  onResult(run: CaseRun, result: unknown, broken: string | undefined): void;
}

const defaultLimitMs = 5000;

/**
 * Runs cases one after the other in a thread of their own. A case whose guest does not return, or that takes the thread
 * with it, is broken; the others run in another thread.
 * @throws SystemError `module-invalid`, `cancelled`
 */
export async function runCases(
  runs: readonly CaseRun[],
  task: CaseTask,
  listener: CaseListener,
  options: RunCasesOptions = {},
): Promise<void> {
  let next = 0;
  while (next < runs.length) {
    const broken = await runFrom(next);
    if (broken === undefined) return;
    const run = runs[next++];
    if (run) listener.onResult(run, undefined, broken);
  }

  /** Runs all cases from one on; gives why the case at `next` is broken, undefined when all have run. */
  async function runFrom(first: number): Promise<string | undefined> {
    const { limitMs = defaultLimitMs, signal, startWorker = startBuilt } = options;
    const { memory } = createHeartbeat();
    const worker = startWorker({ task, runs, first, heartbeat: memory });
    const stop = new AbortController();
    const failed = new Promise<string | SystemError | undefined>((resolve) => {
      worker.on("message", (message: CaseMessage) => {
        if ("code" in message) resolve(new SystemError(message.code, message.message));
        else hear(message);
      });
      worker.once("error", (error) => resolve(`the thread of the plugin ended: ${errorText(error)}`));
      worker.once("exit", () => resolve(next < runs.length ? "the thread of the plugin ended" : undefined));
      const onStuck = () => resolve(`the plugin did not return within ${limitMs} ms; it may loop for ever`);
      const unwatch = watchHeartbeat(memory, limitMs, onStuck);
      const cancel = () => resolve(new SystemError("cancelled", "running test cases was stopped"));
      signal?.addEventListener("abort", cancel, { signal: stop.signal });
      stop.signal.addEventListener("abort", unwatch);
      if (signal?.aborted) cancel();
    });
    const outcome = await failed;
    stop.abort();
    await end(worker);
    if (outcome instanceof SystemError) throw outcome;
    return outcome;
  }

  function hear(message: Exclude<CaseMessage, { code: unknown }>): void {
    const run = runs[message.index]!;
    if ("part" in message) listener.onPart?.(run, message.part);
    else {
      next = message.index + 1;
      listener.onResult(run, message.result, undefined);
    }
  }
}

async function end(worker: Worker): Promise<void> {
  worker.removeAllListeners("message");
  worker.on("error", () => {});
  const ended = worker.threadId < 0 ? undefined : once(worker, "exit").catch(() => {});
  await worker.terminate();
  await ended;
}

/** Starts the thread; without a job it waits for one as its first message. */
export function startBuilt(workerData: CaseJob | null): Worker {
  return new Worker(new URL("./case-worker.js", import.meta.url), { workerData });
}
