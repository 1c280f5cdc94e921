import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SystemError } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import { adminOf, drainConnections } from "./envoy-admin.ts";
import type { EnvoyBootstrap } from "./envoy-bootstrap.ts";
import { createEnvoyLine, type EnvoyLine, type LineEnvoy } from "./envoy-line.ts";
import { nextStart, readStart, type StartSource, writeBootstrap } from "./envoy-start-options.ts";
import type { StartEnvoyOptions } from "./start-envoy.ts";

/** What Envoy does as far as its owner sees; whether it serves, `ready()` says. `restarts` counts from the start of `runEnvoy`. */
export type EnvoyState =
  | RunningState
  | {
      readonly phase: "crashed";
      readonly reason: string;
      readonly retryMs: number;
      readonly restarts: number;
    }
  | { readonly phase: "draining"; readonly pid: number }
  | { readonly phase: "stopped" };

export interface RunningState {
  readonly phase: "running";
  readonly pid: number;
  readonly restarts: number;
  /** How many Envoys took over from each other before it without a lost request, since one was started anew. */
  readonly epoch: number;
  /** Another is starting that is to take over. It has the admin interface; this one serves. */
  readonly successor?: "starting";
  /** Why the last restart that was asked for did not come about. */
  readonly failure?: string;
}

/** Why Envoy is to be restarted: another object is another request. */
export interface RestartRequest {
  readonly reason: string;
}

export interface RunEnvoyOptions extends StartSource {
  readonly bootstrap: EnvoyBootstrap;
  /** Gets `envoy-bootstrap.json`. */
  readonly dataDir: string;
  /** Aborting it drains and stops Envoy. */
  readonly signal: AbortSignal;
  /** Each request starts an Envoy of the files that are there then, which takes over without a lost request. */
  readonly restart?: Watchable<RestartRequest>;
  /** How long downstream connections may take to go, 0 for not at all. */
  readonly drainMs?: number;
  /** How long an Envoy that is to take over may take until it serves. */
  readonly takeOverMs?: number;
  readonly onState?: (state: EnvoyState) => void;
}

const firstRetryMs = 1000;
const maxRetryMs = 30_000;
const stableMs = 60_000;
const killAfterMs = 5000;
/** Compiling the modules of large Go plugins takes Envoy 10 s each. */
const defaultTakeOverMs = 300_000;
const defaultDrainMs = 5000;

/**
 * Keeps an Envoy running until `signal` aborts, then drains it, and resolves when it is gone. One that ends by itself is
 * started again, after 1 s at first and up to 30 s for one that does not live for a minute. Fails with `envoy` only
 * where it cannot be started at all the first time.
 */
export async function runEnvoy(options: RunEnvoyOptions): Promise<void> {
  const { dataDir, bootstrap, log, signal, onState } = options;
  const bootstrapPath = await writeBootstrap(dataDir, bootstrap);
  let start = await readStart(options, bootstrapPath);
  let failures = 0;
  for (let restarts = 0; !signal.aborted; restarts++) {
    const began = performance.now();
    const life = await runLine(options, start, restarts).catch((error: Error) => {
      if (restarts === 0) throw error;
      return { reason: error.message, restarts, start };
    });
    if (signal.aborted) break;
    restarts = life.restarts;
    const ranMs = performance.now() - began;
    failures = ranMs >= stableMs ? 1 : failures + 1;
    const retryMs = retryDelay(failures);
    log.error(
      { reason: life.reason, ranMs: Math.round(ranMs), restarts, failures, retryMs },
      "Envoy ended by itself, it is started again",
    );
    onState?.({ phase: "crashed", reason: life.reason, retryMs, restarts });
    await pauseBeforeRetry(retryMs, options);
    start = await nextStart(options, life.start);
  }
  onState?.({ phase: "stopped" });
}

/** A request to restart Envoy, whose files were mended perhaps, ends the pause. */
async function pauseBeforeRetry(ms: number, { signal, restart }: RunEnvoyOptions): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  const before = restart?.value;
  restart?.watch((request) => request !== before && end(), over.signal);
  signal.addEventListener("abort", end, { signal: over.signal });
  if (!signal.aborted) await sleep(ms, undefined, { signal: over.signal }).catch(() => {});
  end();
}

/** 1 s doubling to 30 s, a quarter more or less: gateways that crashed together must not come back together. */
export function retryDelay(failures: number): number {
  const delay = Math.min(firstRetryMs * 2 ** Math.min(failures - 1, 10), maxRetryMs);
  return Math.round(delay * (0.75 + Math.random() / 2));
}

/** How a line of Envoys ended. */
interface LineEnd {
  readonly reason: string;
  readonly restarts: number;
  /** What its last Envoy was started with. */
  readonly start: StartEnvoyOptions;
}

/** One life of Envoy, in which one may take over from another. Resolves when it is over, with the reason for people. */
async function runLine(
  options: RunEnvoyOptions,
  start: StartEnvoyOptions,
  firstRestart: number,
): Promise<LineEnd> {
  const { signal, log, onState, drainMs = defaultDrainMs, takeOverMs = defaultTakeOverMs } = options;
  const line = createEnvoyLine({
    ...{ admin: adminOf(options.bootstrap), baseIdPath: join(options.dataDir, "envoy-base-id") },
    ...{ drainMs, takeOverMs, log, signal },
  });
  let restarts = firstRestart;
  let serving = await line.begin(start);
  const requests = createRequests(options);
  let failure = "";
  const report = (successor?: "starting") => {
    const { pid, epoch } = serving;
    const optional = { ...(successor && { successor }), ...(failure && { failure }) };
    onState?.({ phase: "running", pid, restarts, epoch, ...optional });
  };
  log.info({ pid: serving.pid, restarts, path: options.envoyPath }, "Envoy started");
  report();
  try {
    while ((await requests.next(serving)) === "restart") {
      report("starting");
      const { pid } = serving;
      const result = await restart(serving);
      failure = result.fault;
      serving = result.serving;
      if (serving.pid !== pid) restarts++;
      if (failure) log.error({ pid: serving.pid, reason: failure }, "Envoy is not restarted, it serves on");
      else log.info({ pid: serving.pid, epoch: serving.epoch, restarts }, "Envoy has taken over");
      report();
    }
    if (signal.aborted) await stopEnvoy(serving, line, options);
    const reason = [await serving.ended, ...serving.tail.lines.slice(-1)].join(": ").slice(0, 2000);
    return { reason, restarts, start: serving.options };
  } finally {
    requests.stop();
    await line.end();
  }

  async function restart(current: LineEnvoy) {
    try {
      return await line.takeOver(current, await readStart(options, start.bootstrapPath));
    } catch (error) {
      return {
        serving: current,
        fault: SystemError.from(error, "envoy", "Envoy cannot be restarted").message,
      };
    }
  }
}

/** What happens to a running Envoy: those of the requests that come while one is worked on are one. */
function createRequests({ restart, signal }: RunEnvoyOptions) {
  const over = new AbortController();
  let isWanted = false;
  let wake = () => {};
  const before = restart?.value;
  restart?.watch((request) => {
    if (request === before) return;
    isWanted = true;
    wake();
  }, over.signal);
  signal.addEventListener("abort", () => wake(), { signal: over.signal });
  return {
    async next({ ended }: LineEnvoy): Promise<"ended" | "stop" | "restart"> {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
        if (isWanted || signal.aborted) resolve();
      });
      const isOver = await Promise.race([ended.then(() => true), woken.then(() => false)]);
      if (signal.aborted) return "stop";
      if (isOver) return "ended";
      isWanted = false;
      return "restart";
    },
    stop: () => over.abort(),
  };
}

async function stopEnvoy(envoy: LineEnvoy, line: EnvoyLine, options: RunEnvoyOptions): Promise<void> {
  const { drainMs = defaultDrainMs, bootstrap, log, onState } = options;
  const over = new AbortController();
  const end = envoy.ended.finally(() => over.abort());
  log.info({ pid: envoy.pid, drainMs }, "draining Envoy");
  onState?.({ phase: "draining", pid: envoy.pid });
  if (drainMs > 0) {
    await drainConnections(adminOf(bootstrap), { drainMs, signal: over.signal, log });
    // Its end is the end of one that it took over from.
    await Promise.race([line.drained(), end]);
  }
  envoy.kill("SIGTERM");
  await sleep(killAfterMs, undefined, { signal: over.signal }).catch(() => {});
  if (over.signal.aborted) return;
  log.warn({ pid: envoy.pid }, `Envoy did not end within ${killAfterMs} ms of SIGTERM, it is killed`);
  envoy.kill("SIGKILL");
}
