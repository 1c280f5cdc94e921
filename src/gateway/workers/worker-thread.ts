import { Worker } from "node:worker_threads";
import type { Log } from "../../log.ts";
import type { Recording, RecordingWish } from "../../proxy-wasm/recording.ts";
import { errorText, SystemError } from "../../system-error.ts";
import { emptySnapshot } from "../empty-snapshot.ts";
import type { GatewaySnapshot } from "../gateway-snapshot.ts";
import { createBeatMemory, runningIn, watchBeat } from "./beat.ts";
import type { MainMessage, WorkerMessage, WorkerRequest, WorkerStart } from "./messages.ts";
import { fromWire } from "./wire-error.ts";

/** A worker, as the main thread has it. */
export interface WorkerThread {
  /** @throws SystemError what the worker says; WorkerEnded when it ended before it said anything */
  request(request: WorkerRequest): Promise<void>;
  /**
   * Records a request, as the gateway in it does.
   * @throws as `RunningGateway.record`, and as `request`
   */
  record(wish: RecordingWish, signal: AbortSignal): Promise<Recording>;
  /** What was got ready for this claim may go. */
  release(claim: number): void;
  /** What it had counted and open when it was asked last. */
  readonly latest: GatewaySnapshot;
  /** What it has open. */
  readonly listeners: GatewaySnapshot["listeners"];
  /** Why it ended: empty after `stop`. */
  readonly ended: Promise<string>;
  /** Ends it when its connections have, or when `limitMs` is over. */
  stop(limitMs: number): void;
}

/** What runs in a thread: the file beside this one. */
export type WorkerScript = "worker" | "trial-thread";

export interface WorkerThreadOptions {
  readonly script: WorkerScript;
  readonly start: Omit<WorkerStart, "beat" | "beatMs">;
  readonly log: Log;
  /** How long it may go without a turn of its event loop. */
  readonly stuckMs: number;
  /** Of its JavaScript; memory of plugins and bodies is apart. */
  readonly maxHeapMb: number;
  /** Gives a module, for all workers the same. */
  compile(message: Extract<WorkerMessage, { kind: "compile" }>): Promise<MainMessage>;
  readonly onPluginTrap?: (plugin: string, reason: string) => void;
  readonly startWorker?: StartWorker;
}

/** Starts a thread where the sources are not what Node runs. */
export type StartWorker = (script: WorkerScript, start: WorkerStart, maxHeapMb: number) => Worker;

/** A worker is gone, and with it what it was asked. */
export class WorkerEnded extends SystemError {
  /** What ran at that time. */
  readonly plugin: string | undefined;

  constructor(reason: string, plugin: string | undefined) {
    super("plugin-start", `the thread ended: ${reason || "it was stopped"}`);
    this.plugin = plugin;
  }
}

interface Waiting {
  resolve(recording: Recording | undefined): void;
  reject(error: Error): void;
}

const beatsInLimit = 8;

export function startWorkerThread(options: WorkerThreadOptions): WorkerThread {
  const { log, stuckMs, startWorker = startBuilt } = options;
  const beat = createBeatMemory();
  const beatMs = Math.max(1, Math.floor(stuckMs / beatsInLimit));
  const worker = startWorker(options.script, { ...options.start, beat, beatMs }, options.maxHeapMb);
  const post = (message: MainMessage) => worker.postMessage(message);
  const waiting = new Map<number, Waiting>();
  const plugins = new Map<number, string>();
  let latest = emptySnapshot;
  let { listeners } = emptySnapshot;
  let lastId = 0;
  let reason = "it ended by itself";
  let plugin: string | undefined;
  let isOver = false;
  const unwatch = watchBeat(beat, stuckMs, () => {
    reason = `it did not return to its event loop within ${stuckMs} ms`;
    blame();
    void worker.terminate();
  });
  worker.on("message", hear);
  worker.on("error", (error) => {
    reason = errorText(error);
    blame();
  });
  const ended = new Promise<string>((resolve) => {
    worker.once("exit", () => {
      isOver = true;
      unwatch();
      for (const { reject } of waiting.values()) reject(new WorkerEnded(reason, plugin));
      waiting.clear();
      resolve(reason);
    });
  });
  return {
    async request(request) {
      await ask(request).answer;
    },
    async record(wish, signal) {
      const { id, answer } = ask({ kind: "record", wish });
      const disarm = () => isOver || post({ kind: "disarm", id });
      if (signal.aborted) disarm();
      signal.addEventListener("abort", disarm, { once: true });
      return (await answer.finally(() => signal.removeEventListener("abort", disarm)))!;
    },
    release: (claim) => post({ kind: "release", claim }),
    get latest() {
      return latest;
    },
    get listeners() {
      return listeners;
    },
    ended,
    stop(limitMs) {
      reason = "";
      post({ kind: "stop" });
      const timer = setTimeout(() => void worker.terminate(), limitMs);
      void ended.then(() => clearTimeout(timer));
    },
  };

  function ask(request: WorkerRequest): {
    readonly id: number;
    readonly answer: Promise<Recording | undefined>;
  } {
    const id = ++lastId;
    if (isOver) return { id, answer: Promise.reject(new WorkerEnded(reason, plugin)) };
    post({ kind: "request", id, request });
    return { id, answer: new Promise((resolve, reject) => waiting.set(id, { resolve, reject })) };
  }

  function hear(message: WorkerMessage): void {
    switch (message.kind) {
      case "answer":
        take(message.id)?.resolve(undefined);
        break;
      case "recorded":
        take(message.id)?.resolve(message.recording);
        break;
      case "failure":
        take(message.id)?.reject(fromWire(message.error));
        break;
      case "compile":
        void options.compile(message).then(post);
        break;
      case "log":
        log[message.level](message.fields, message.message);
        break;
      case "open":
        listeners = message.listeners;
        break;
      case "counted":
        latest = message.snapshot;
        break;
      case "trap":
        options.onPluginTrap?.(message.plugin, message.reason);
        break;
      case "plugin":
        plugins.set(message.id, message.name);
    }
  }

  function take(id: number): Waiting | undefined {
    const found = waiting.get(id);
    waiting.delete(id);
    return found;
  }

  /** Notes the plugin that runs. */
  function blame(): void {
    plugin = plugins.get(runningIn(beat));
    if (plugin !== undefined) reason += ` while plugin ${plugin} ran`;
  }
}

function startBuilt(script: WorkerScript, workerData: WorkerStart, maxHeapMb: number): Worker {
  return new Worker(new URL(`./${script}.js`, import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
  });
}
