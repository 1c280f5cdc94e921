import { Worker } from "node:worker_threads";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { createHeartbeat, watchHeartbeat } from "./heartbeat.ts";
import type { Message, Outcome } from "./memory-stream.ts";
import type { LogRecord } from "./outside.ts";
import type { PluginOptions } from "./plugin-host.ts";
import type { PropertyValue } from "./property-values.ts";

/** A plugin that is to be tried, and requests that are sent through it, one after the other. */
export interface Trial {
  readonly bytes: Uint8Array;
  readonly plugin: Omit<PluginOptions, "module">;
  readonly maxMemoryBytes?: number;
  readonly requests?: readonly TrialRequest[];
}

export interface TrialRequest {
  readonly request: Message;
  /** What the upstream answers; 200 without a body if it is left out. */
  readonly answer?: Message;
  readonly properties?: Readonly<Record<string, PropertyValue>>;
}

export interface TrialResult {
  readonly outcomes: readonly Outcome[];
  readonly logs: readonly LogRecord[];
  readonly memoryBytes: number;
}

export interface TrialOptions {
  /** How long the guest may run in one piece; 5 s if it is left out. */
  readonly guestLimitMs?: number;
  /** How long all of it may take; 60 s if it is left out. */
  readonly limitMs?: number;
  /** Starts the thread where the sources are not what Node runs. */
  readonly startWorker?: (workerData: TrialInput) => Worker;
}

/** What the worker gets and what it answers. */
export interface TrialInput extends Trial {
  readonly heartbeat: SharedArrayBuffer;
}
export type TrialAnswer = TrialResult | { readonly code: SystemErrorCode; readonly message: string };

const defaultGuestLimitMs = 5000;
const defaultLimitMs = 60_000;

/**
 * Starts a plugin in a thread of its own, sends requests through it, and ends the thread: whatever the guest does, the
 * caller goes on.
 * @throws SystemError `module-invalid`, `plugin-start`; `timeout` when the guest does not return
 */
export async function tryPlugin(trial: Trial, options: TrialOptions = {}): Promise<TrialResult> {
  const { guestLimitMs = defaultGuestLimitMs, limitMs = defaultLimitMs, startWorker = startBuilt } = options;
  const { memory } = createHeartbeat();
  const worker = startWorker({ ...trial, heartbeat: memory });
  const stop = new AbortController();
  try {
    return await new Promise<TrialResult>((resolve, reject) => {
      const fail = (ms: number) => reject(timeout(trial, ms));
      const unwatch = watchHeartbeat(memory, guestLimitMs, () => fail(guestLimitMs));
      const timer = setTimeout(() => fail(limitMs), limitMs);
      stop.signal.addEventListener("abort", () => {
        unwatch();
        clearTimeout(timer);
      });
      worker.once("message", (answer: TrialAnswer) =>
        "code" in answer ? reject(new SystemError(answer.code, answer.message)) : resolve(answer),
      );
      worker.once("error", (error) =>
        reject(SystemError.from(error, "plugin-start", `trying ${trial.plugin.name}`)),
      );
      // Nothing is left in the thread that could go on.
      worker.once("exit", () =>
        reject(new SystemError("timeout", `plugin ${trial.plugin.name} holds a request for ever`)),
      );
    });
  } finally {
    stop.abort();
    await worker.terminate();
  }
}

function timeout({ plugin }: Trial, ms: number): SystemError {
  return new SystemError(
    "timeout",
    `plugin ${plugin.name} did not return within ${ms} ms; it may loop for ever`,
  );
}

function startBuilt(workerData: TrialInput): Worker {
  return new Worker(new URL("./trial-worker.js", import.meta.url), { workerData });
}
