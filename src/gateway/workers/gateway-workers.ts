import { fromBinary } from "@bufbuild/protobuf";
import { PluginConfigSchema } from "../../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import type { Log } from "../../log.ts";
import {
  createLocalOutside,
  createPluginHost,
  createStores,
  type LogLevel,
  type Stores,
} from "../../proxy-wasm/index.ts";
import type { Watchable } from "../../watchable.ts";
import { emptyConfig } from "../apply-response.ts";
import type { RunningGateway } from "../gateway.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import {
  countedOnly,
  emptySnapshot,
  type GatewaySnapshot,
  mergeSnapshots,
  type OpenListener,
} from "../gateway-snapshot.ts";
import { createModuleFiles, type ModuleSource } from "../module-files.ts";
import { wasmConfigs } from "../stream-plans.ts";
import { createReplay, updatesBetween } from "./config-updates.ts";
import type { MainMessage, Preparation, WorkerMessage, WorkerRequest } from "./messages.ts";
import { toWire } from "./wire-error.ts";
import { createWorkerPreparers, pluginOf } from "./worker-preparers.ts";
import { type StartWorker, startWorkerThread, WorkerEnded, type WorkerThread } from "./worker-thread.ts";

export interface GatewayWorkersOptions {
  readonly config: Watchable<GatewayConfig>;
  readonly log: Log;
  /** Ends the gateway: connections end with their requests, or when `drainMs` is over. */
  readonly signal: AbortSignal;
  readonly concurrency: number;
  readonly drainMs?: number;
  readonly stores?: Stores;
  readonly pluginLogLevel?: LogLevel;
  /** How long a worker may go without a turn of its event loop before it is replaced; 10 s. */
  readonly stuckMs?: number;
  /** What the JavaScript of a worker may take before the worker is replaced; 1024 MiB. */
  readonly maxHeapMb?: number;
  readonly startWorker?: StartWorker;
}

const defaultDrainMs = 10_000;
const defaultStuckMs = 10_000;
const defaultHeapMb = 1024;
/** What a worker may take for its end after the drain. */
const endMs = 2000;
const answerMs = 1000;
/** What a worker has counted since is lost with it. */
const pollMs = 2000;
/** One that lived for longer did not end by its start. */
const shortLifeMs = 10_000;
const maxPauseMs = 10_000;
/** In how many workers a plugin is tried when they end. */
const maxAttempts = 3;

interface Slot {
  thread: WorkerThread | undefined;
  applying: Promise<unknown>;
  shortLives: number;
}

/** Starts the workers. Each is replaced when it ends; the connections of the others go on. */
export function startGatewayWorkers(options: GatewayWorkersOptions): RunningGateway {
  const { config, log, signal, drainMs = defaultDrainMs } = options;
  const stores = options.stores ?? createStores();
  const modules = createModuleFiles(createPluginHost(createLocalOutside({ stores })));
  const replay = createReplay();
  const slots: Slot[] = [];
  const arrivals: (() => void)[] = [];
  let sent = emptyConfig;
  let lost = emptySnapshot;
  let lastClaim = 0;
  config.watch(take, signal);
  for (let index = 0; index < options.concurrency; index++) {
    slots.push({ thread: undefined, applying: Promise.resolve(), shortLives: 0 });
    fill(index);
  }
  const poll = setInterval(() => void askAll({ kind: "snapshot" }), pollMs).unref();
  return {
    preparers: createWorkerPreparers(prepare),
    get config() {
      return config.value;
    },
    get listeners() {
      return openInAll(threads());
    },
    snapshot,
    settled,
    closed: new Promise(closeAfterSignal),
  };

  function take(next: GatewayConfig): void {
    const updates = updatesBetween(sent, next);
    sent = next;
    replay.follow(next);
    modules.keep([...wasmConfigs(next)].map(({ config }) => config.config!));
    if (updates.length === 0) return;
    for (const slot of slots) apply(slot, { kind: "apply", updates });
  }

  function apply(slot: Slot, request: WorkerRequest): void {
    const { thread } = slot;
    if (!thread) return;
    const applied = thread.request(request).catch(() => {});
    slot.applying = Promise.all([slot.applying, applied]);
  }

  function fill(index: number): void {
    const slot = slots[index]!;
    const since = performance.now();
    const thread = startThread(index);
    slot.thread = thread;
    for (const resolve of arrivals.splice(0)) resolve();
    apply(slot, { kind: "apply", updates: replay.updates() });
    void thread.ended.then((reason) => {
      slot.thread = undefined;
      lost = mergeSnapshots([lost, countedOnly(thread.latest)]);
      if (signal.aborted) return;
      slot.shortLives = performance.now() - since < shortLifeMs ? slot.shortLives + 1 : 0;
      const pauseMs = slot.shortLives === 0 ? 0 : Math.min(maxPauseMs, 50 * 2 ** slot.shortLives);
      lost = mergeSnapshots([lost, { ...emptySnapshot, counters: { "wasmline.workers_replaced": 1 } }]);
      log.error(
        { worker: index, reason, pauseMs },
        "a worker ended with its connections; another takes its place",
      );
      setTimeout(() => signal.aborted || fill(index), pauseMs);
    });
  }

  function startThread(index: number): WorkerThread {
    const { stuckMs = defaultStuckMs, maxHeapMb = defaultHeapMb, startWorker, pluginLogLevel } = options;
    return startWorkerThread({
      start: { stores: stores.share(), drainMs, pluginLogLevel },
      log: log.child({ worker: index }),
      stuckMs,
      maxHeapMb,
      startWorker,
      compile: (message) => compileFor(modules, message),
    });
  }

  /** One worker goes first, so that a plugin which never returns costs one. */
  async function prepare(what: Preparation, signal: AbortSignal): Promise<void> {
    const claim = ++lastClaim;
    const release = () => {
      for (const thread of threads()) thread.release(claim);
    };
    signal.addEventListener("abort", release, { once: true });
    const request = { kind: "prepare", claim, what } as const;
    const first = await tryIn(request);
    const others = threads().filter((thread) => thread !== first);
    await Promise.all(others.map((thread) => thread.request(request).catch(unlessEnded)));
    if (signal.aborted) release();
  }

  /** Gives the worker that did it. One that ended meanwhile for another reason says nothing about what was asked. */
  async function tryIn(request: Extract<WorkerRequest, { kind: "prepare" }>): Promise<WorkerThread> {
    for (let attempt = 1; ; attempt++) {
      const thread = await someThread();
      try {
        await thread.request(request);
        return thread;
      } catch (error) {
        const isOthers = error instanceof WorkerEnded && error.plugin !== pluginOf(request.what);
        if (!isOthers || attempt === maxAttempts || signal.aborted) throw error;
      }
    }
  }

  async function someThread(): Promise<WorkerThread> {
    for (;;) {
      const [thread] = threads();
      if (thread) return thread;
      await new Promise<void>((resolve) => arrivals.push(resolve));
    }
  }

  function threads(): WorkerThread[] {
    return slots.flatMap(({ thread }) => thread ?? []);
  }

  /** Of those who do not answer in time, what they said last. */
  function askAll(request: WorkerRequest): Promise<GatewaySnapshot[]> {
    return Promise.all(
      threads().map(async (thread) => {
        const late = new Promise((resolve) => setTimeout(resolve, answerMs).unref());
        await Promise.race([thread.request(request).catch(() => {}), late]);
        return thread.latest;
      }),
    );
  }

  async function snapshot(): Promise<GatewaySnapshot> {
    const snapshots = await askAll({ kind: "snapshot" });
    return mergeSnapshots([...snapshots, lost]);
  }

  async function settled(): Promise<void> {
    let seen: readonly Promise<unknown>[];
    do {
      seen = slots.map(({ applying }) => applying);
      await Promise.all(seen);
    } while (slots.some(({ applying }, i) => applying !== seen[i]));
  }

  function closeAfterSignal(resolve: () => void): void {
    const close = () => {
      clearInterval(poll);
      const running = threads();
      for (const thread of running) thread.stop(drainMs + endMs);
      void Promise.all(running.map(({ ended }) => ended)).then(() => resolve());
    };
    if (signal.aborted) close();
    else signal.addEventListener("abort", close, { once: true });
  }
}

/** The listeners that every worker has said to have open. */
function openInAll(threads: readonly WorkerThread[]): ReadonlyMap<string, OpenListener> {
  const all = threads.map(({ latest }) => latest.listeners);
  const { listeners } = mergeSnapshots(threads.map(({ latest }) => latest));
  return new Map(Object.entries(listeners).filter(([name]) => all.every((open) => open[name])));
}

/** The next worker in its place starts the plugin by itself. */
function unlessEnded(error: unknown): void {
  if (!(error instanceof WorkerEnded)) throw error;
}

async function compileFor(
  modules: ModuleSource,
  { id, name, config }: Extract<WorkerMessage, { kind: "compile" }>,
): Promise<MainMessage> {
  try {
    return { kind: "module", id, module: await modules.load(fromBinary(PluginConfigSchema, config), name) };
  } catch (error) {
    return { kind: "no-module", id, error: toWire(error) };
  }
}
