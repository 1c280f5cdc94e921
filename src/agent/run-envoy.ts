import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOf, drainConnections } from "./envoy-admin.ts";
import type { EnvoyBootstrap } from "./envoy-bootstrap.ts";
import { type RunningEnvoy, type StartEnvoyOptions, startEnvoy } from "./start-envoy.ts";

/** What Envoy does as far as its owner sees; whether it serves, `ready()` says. `restarts` counts from the start of `runEnvoy`. */
export type EnvoyState =
  | { readonly phase: "running"; readonly pid: number; readonly restarts: number }
  | {
      readonly phase: "crashed";
      readonly reason: string;
      readonly retryMs: number;
      readonly restarts: number;
    }
  | { readonly phase: "draining"; readonly pid: number }
  | { readonly phase: "stopped" };

export interface RunEnvoyOptions extends Omit<StartEnvoyOptions, "bootstrapPath"> {
  readonly bootstrap: EnvoyBootstrap;
  /** Gets `envoy-bootstrap.json`. */
  readonly dataDir: string;
  /** Aborting it drains and stops Envoy. */
  readonly signal: AbortSignal;
  /** How long downstream connections may take to go, 0 for not at all. */
  readonly drainMs?: number;
  readonly onState?: (state: EnvoyState) => void;
}

const firstRetryMs = 1000;
const maxRetryMs = 30_000;
const stableMs = 60_000;
const killAfterMs = 5000;

/**
 * Keeps an Envoy running until `signal` aborts, then drains it, and resolves when it is gone. One that ends by itself is
 * started again, after 1 s at first and up to 30 s for one that does not live for a minute. Fails with `envoy` only
 * where it cannot be started at all the first time.
 */
export async function runEnvoy(options: RunEnvoyOptions): Promise<void> {
  const { dataDir, bootstrap, log, signal, onState } = options;
  const bootstrapPath = await writeBootstrap(dataDir, bootstrap);
  let failures = 0;
  for (let restarts = 0; !signal.aborted; restarts++) {
    const began = performance.now();
    const reason = await runOnce({ ...options, bootstrapPath }, restarts);
    if (signal.aborted) break;
    const ranMs = performance.now() - began;
    failures = ranMs >= stableMs ? 1 : failures + 1;
    const retryMs = retryDelay(failures);
    log.error(
      { reason, ranMs: Math.round(ranMs), restarts, failures, retryMs },
      "Envoy ended by itself, it is started again",
    );
    onState?.({ phase: "crashed", reason, retryMs, restarts });
    await sleep(retryMs, undefined, { signal }).catch(() => {});
  }
  onState?.({ phase: "stopped" });
}

/** 1 s doubling to 30 s, a quarter more or less: gateways that crashed together must not come back together. */
export function retryDelay(failures: number): number {
  const delay = Math.min(firstRetryMs * 2 ** Math.min(failures - 1, 10), maxRetryMs);
  return Math.round(delay * (0.75 + Math.random() / 2));
}

/** One life of Envoy. Resolves when it is over, with the reason for people. */
async function runOnce(options: RunEnvoyOptions & StartEnvoyOptions, restarts: number): Promise<string> {
  const { signal, log, onState } = options;
  const started = await startEnvoy(options).catch((error: Error) => {
    if (restarts === 0) throw error;
    return error;
  });
  if (started instanceof Error) return started.message;
  const { pid, ended, tail } = started;
  log.info({ pid, restarts, path: options.envoyPath }, "Envoy started");
  onState?.({ phase: "running", pid, restarts });
  const over = new AbortController();
  const end = ended.finally(() => over.abort());
  await Promise.race([end, aborted(signal, over.signal)]);
  if (signal.aborted && !over.signal.aborted) await stopEnvoy(started, over.signal, options);
  return [await end, ...tail.lines.slice(-1)].join(": ").slice(0, 2000);
}

/** Resolves when `signal` aborts; never after `unless` did. */
function aborted(signal: AbortSignal, unless: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true, signal: unless });
  });
}

async function stopEnvoy(envoy: RunningEnvoy, over: AbortSignal, options: RunEnvoyOptions): Promise<void> {
  const { drainMs = 5000, bootstrap, log, onState } = options;
  log.info({ pid: envoy.pid, drainMs }, "draining Envoy");
  onState?.({ phase: "draining", pid: envoy.pid });
  if (drainMs > 0) await drainConnections(adminOf(bootstrap), { drainMs, signal: over, log });
  envoy.kill("SIGTERM");
  await sleep(killAfterMs, undefined, { signal: over }).catch(() => {});
  if (over.aborted) return;
  log.warn({ pid: envoy.pid }, `Envoy did not end within ${killAfterMs} ms of SIGTERM, it is killed`);
  envoy.kill("SIGKILL");
}

/** Complete or not at all: an Envoy that is being restarted may be reading it. */
async function writeBootstrap(dataDir: string, bootstrap: EnvoyBootstrap): Promise<string> {
  const path = join(dataDir, "envoy-bootstrap.json");
  await mkdir(dataDir, { recursive: true });
  await writeFile(`${path}.new`, JSON.stringify(bootstrap, null, 2), { mode: 0o600 });
  await rename(`${path}.new`, path);
  return path;
}
