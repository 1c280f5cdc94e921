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
import type { Recording, RecordingWish } from "../../proxy-wasm/recording.ts";
import type { Watchable } from "../../watchable.ts";
import { type ConfigUpdate, emptyConfig } from "../apply-response.ts";
import { emptySnapshot } from "../empty-snapshot.ts";
import type { GatewayAction, RunningGateway } from "../gateway.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import { countedOnly, type GatewaySnapshot, mergeSnapshots, type OpenListener } from "../gateway-snapshot.ts";
import { createModuleFiles, type ModuleSource } from "../module-files.ts";
import type { WasmFilterConfig } from "../plugin-registry.ts";
import { plainScope } from "../stats/stat-scope.ts";
import { wasmConfigs } from "../stream-plans.ts";
import { createReplay, updatesBetween } from "./config-updates.ts";
import type { MainMessage, Preparation, WorkerMessage } from "./messages.ts";
import { tryInThread } from "./plugin-trials.ts";
import { toWire } from "./wire-error.ts";
import { createWorkerPreparers } from "./worker-preparers.ts";
import { createWorkerSlots } from "./worker-slots.ts";
import {
  type StartWorker,
  startWorkerThread,
  WorkerEnded,
  type WorkerScript,
  type WorkerThread,
} from "./worker-thread.ts";

export interface GatewayWorkersOptions {
  readonly config: Watchable<GatewayConfig>;
  readonly log: Log;
  /** Ends the gateway: connections end with their requests, or when `drainMs` is over. */
  readonly signal: AbortSignal;
  readonly concurrency: number;
  readonly drainMs?: number;
  /** What a listener may have open at a time, shared among the workers; any number if it is left out. */
  readonly maxConnections?: number | undefined;
  readonly stores?: Stores;
  readonly pluginLogLevel?: LogLevel;
  /** A plugin that was serving has lost its Vm, in one of the workers or in each. */
  readonly onPluginTrap?: (plugin: string, reason: string) => void;
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
const pollMs = 10_000;

/**
 * Starts a gateway whose traffic is served by threads that share its ports, beside one in which plugins are tried. Each is
 * replaced when it ends; the connections of the others go on.
 */
export function startGatewayWorkers(options: GatewayWorkersOptions): RunningGateway {
  const { config, log, signal, concurrency, drainMs = defaultDrainMs, maxConnections } = options;
  const share = maxConnections === undefined ? undefined : Math.ceil(maxConnections / concurrency);
  const stores = options.stores ?? createStores();
  const modules = createModuleFiles(createPluginHost(createLocalOutside({ stores })));
  const replay = createReplay();
  const applying = new WeakMap<WorkerThread, Promise<unknown>>();
  let sent = emptyConfig;
  let lost = emptySnapshot;
  let lastClaim = 0;
  let { pluginLogLevel } = options;
  const trials = createWorkerSlots({
    count: 1,
    log,
    signal,
    start: () => startThread("trial-thread", "trial"),
  });
  const workers = createWorkerSlots({ count: concurrency, log, signal, start: startWorker, onEnd });
  config.watch(take, signal);
  const poll = setInterval(() => void askAll(), pollMs).unref();
  const tryPlugin = (config: WasmFilterConfig) => tryInThread(config, modules, trials);
  return {
    preparers: createWorkerPreparers({ tryPlugin, prepare }),
    get config() {
      return config.value;
    },
    get listeners() {
      return openInAll(workers.all());
    },
    stores,
    get isDraining() {
      return signal.aborted;
    },
    control,
    record,
    snapshot: async () => mergeSnapshots([...(await askAll()), lost]),
    settled,
    closed: new Promise(closeAfterSignal),
  };

  function take(next: GatewayConfig): void {
    const updates = updatesBetween(sent, next);
    sent = next;
    replay.follow(next);
    modules.keep([...wasmConfigs(next)].map(({ config }) => config.config!));
    if (updates.length > 0) for (const thread of workers.all()) apply(thread, updates);
  }

  async function control(action: GatewayAction): Promise<void> {
    if (action.kind === "reset-counters") lost = emptySnapshot;
    if (action.kind === "plugin-log-level") pluginLogLevel = action.level;
    const request = { kind: "control", action } as const;
    await Promise.all(workers.all().map((thread) => thread.request(request).catch(unlessEnded)));
  }

  /** In whichever worker the request comes to. */
  async function record(wish: RecordingWish, until: AbortSignal): Promise<Recording> {
    const done = new AbortController();
    const signals = AbortSignal.any([until, done.signal]);
    await workers.any();
    const recorded = workers.all().map((thread) => thread.record(wish, signals));
    return Promise.race(recorded).finally(() => done.abort());
  }

  function apply(thread: WorkerThread, updates: readonly ConfigUpdate[]): void {
    const applied = thread.request({ kind: "apply", updates }).catch(() => {});
    applying.set(thread, Promise.all([applying.get(thread), applied]));
  }

  function startWorker(index: number): WorkerThread {
    const thread = startThread("worker", index, index);
    apply(thread, replay.updates());
    return thread;
  }

  function startThread(script: WorkerScript, worker: number | string, number = 0): WorkerThread {
    const { stuckMs = defaultStuckMs, maxHeapMb = defaultHeapMb, startWorker } = options;
    return startWorkerThread({
      script,
      start: { stores: stores.share(), drainMs, maxConnections: share, pluginLogLevel, worker: number },
      log: log.child({ worker }),
      stuckMs,
      maxHeapMb,
      onPluginTrap: options.onPluginTrap,
      startWorker,
      compile: (message) => compileFor(modules, message),
    });
  }

  function onEnd(thread: WorkerThread): void {
    const replaced = plainScope("wasmline.", { counters: { workers_replaced: 1 } });
    lost = mergeSnapshots([lost, countedOnly(thread.latest), { ...emptySnapshot, stats: [replaced] }]);
  }

  async function prepare(what: Preparation, wanted: AbortSignal): Promise<void> {
    const claim = ++lastClaim;
    const release = () => {
      for (const thread of workers.all()) thread.release(claim);
    };
    wanted.addEventListener("abort", release, { once: true });
    const request = { kind: "prepare", claim, what } as const;
    await workers.any();
    await Promise.all(workers.all().map((thread) => thread.request(request).catch(unlessEnded)));
    if (wanted.aborted) release();
  }

  /** Of those who do not answer in time, what they said last. */
  function askAll(): Promise<GatewaySnapshot[]> {
    return Promise.all(
      workers.all().map(async (thread) => {
        const late = new Promise((resolve) => setTimeout(resolve, answerMs).unref());
        await Promise.race([thread.request({ kind: "snapshot" }).catch(() => {}), late]);
        return thread.latest;
      }),
    );
  }

  async function settled(): Promise<void> {
    const pending = () => workers.all().map((thread) => applying.get(thread));
    let seen: ReturnType<typeof pending>;
    do {
      seen = pending();
      await Promise.all(seen);
    } while (pending().some((each, i) => each !== seen[i]));
  }

  function closeAfterSignal(resolve: () => void): void {
    const close = () => {
      clearInterval(poll);
      void Promise.all([workers.stop(drainMs + endMs), trials.stop(endMs)]).then(() => resolve());
    };
    if (signal.aborted) close();
    else signal.addEventListener("abort", close, { once: true });
  }
}

/** The listeners that every worker has said to have open. */
function openInAll(threads: readonly WorkerThread[]): ReadonlyMap<string, OpenListener> {
  const [first, ...others] = threads.map(({ listeners }) => listeners);
  return new Map(Object.entries(first ?? {}).filter(([name]) => others.every((open) => open[name])));
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
