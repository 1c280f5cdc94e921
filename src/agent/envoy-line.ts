import { constants } from "node:fs";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
import { type AdminAddress, type ServerInfo, serverInfo } from "./envoy-admin.ts";
import {
  type Epoch,
  findFault,
  type RunningEnvoy,
  type StartEnvoyOptions,
  startEnvoy,
} from "./start-envoy.ts";

/** An Envoy of a line, with what it was started with. */
export interface LineEnvoy extends RunningEnvoy {
  readonly epoch: number;
  readonly options: StartEnvoyOptions;
}

export interface EnvoyLineOptions {
  readonly admin: AdminAddress;
  /** Gets the line's base id. */
  readonly baseIdPath: string;
  /** How long an Envoy that was taken over from may drain. */
  readonly drainMs: number;
  /** How long a new Envoy may take until it serves. */
  readonly takeOverMs: number;
  readonly log: Log;
  /** Aborting it ends a take-over that is under way; the Envoy that serves stays. */
  readonly signal: AbortSignal;
}

/** What came of a take-over. */
export interface TakeOver {
  readonly serving: LineEnvoy;
  /** Why it is not the Envoy that was to be started, "" where it is. */
  readonly fault: string;
}

/** Envoys that take over from each other. At most one serves and one drains. */
export interface EnvoyLine {
  /** Starts the first. Fails with `envoy` if it cannot be started. */
  begin(options: StartEnvoyOptions): Promise<LineEnvoy>;
  /**
   * Starts an Envoy that takes over the listeners of `current` by Envoy's hot restart: no connection is refused, and
   * `current` drains. Resolves once it serves, or when it is clear that it never will; `current` serves on then.
   */
  takeOver(current: LineEnvoy, options: StartEnvoyOptions): Promise<TakeOver>;
  /** Resolves when no Envoy drains any more. */
  drained(): Promise<void>;
  /** Removes what the line had on the machine, once the Envoy that served is gone. One that drains goes with the signal. */
  end(): Promise<void>;
}

const pollMs = 50;
const adminMs = 5000;
/** What an Envoy may take longer than it was told until it is killed. */
const graceMs = 15_000;

export function createEnvoyLine(line: EnvoyLineOptions): EnvoyLine {
  const { admin, baseIdPath, drainMs, takeOverMs, log, signal } = line;
  const predecessorSeconds = Math.max(1, Math.ceil(drainMs / 1000));
  let draining: Promise<void> = Promise.resolve();
  let killDraining = () => {};

  const readInfo = () => serverInfo(admin, { timeoutMs: adminMs }).catch(() => undefined);
  const readBaseId = async () => (await readFile(baseIdPath, "utf8").catch(() => "")).trim();

  async function start(options: StartEnvoyOptions, epoch: Epoch | undefined): Promise<LineEnvoy> {
    return { ...(await startEnvoy({ ...options, epoch })), epoch: epoch?.number ?? 0, options };
  }

  /** Polls Envoy's admin interface until `settled` is true of what it says. Gives the reason why it never was, "" where it was. */
  async function waitFor(
    envoys: readonly LineEnvoy[],
    settled: (info: ServerInfo | undefined) => boolean,
  ): Promise<string> {
    let ended = "";
    for (const { pid, ended: end } of envoys)
      void end.then((how) => {
        ended ||= `the Envoy with pid ${pid} ended (${how})`;
      });
    const limit = performance.now() + takeOverMs;
    while (!settled(await readInfo())) {
      if (ended !== "") return ended;
      if (signal.aborted) return "it was not finished when the agent was stopped";
      if (performance.now() > limit) return `it took longer than ${takeOverMs} ms`;
      await sleep(pollMs);
    }
    return ended;
  }

  /** Its successor ends it after the drain time. One that stays, or has lost its successor, is killed. */
  function watchDraining({ pid, ended, kill }: LineEnvoy): void {
    const timer = setTimeout(() => {
      log.warn({ pid }, "the Envoy that was taken over from does not end, it is killed");
      kill("SIGKILL");
    }, drainMs + graceMs);
    killDraining = () => kill("SIGKILL");
    draining = ended.then((how) => {
      clearTimeout(timer);
      log.info({ pid, how }, "the Envoy that was taken over from has ended");
    });
  }

  /** @throws SystemError `envoy` with the reason why `current` serves on */
  async function replace(current: LineEnvoy, options: StartEnvoyOptions): Promise<LineEnvoy> {
    const baseId = await readBaseId();
    const restoreMemory = await saveSharedMemory(baseId);
    const number = current.epoch + 1;
    const next = await start(options, { number, baseIdPath, baseId, predecessorSeconds });
    const why = await waitFor([next, current], (info) => isServing(info, number));
    if (why === "") {
      watchDraining(current);
      return next;
    }
    // Not SIGTERM: an Envoy that ends in peace ends its predecessor too.
    next.kill("SIGKILL");
    await next.ended;
    await restoreMemory();
    throw new SystemError("envoy", [why, ...next.tail.lines.slice(-1)].join(": ").slice(0, 2000));
  }

  /**
   * An Envoy whose successor failed late has closed its admin interface for it, and opens it no more. So another of its
   * own kind takes over, from the file that it runs, which need not be at its path any more.
   */
  async function reopenAdmin(current: LineEnvoy, fault: string): Promise<TakeOver> {
    if (signal.aborted || (await readInfo())) return { serving: current, fault };
    log.warn({ pid: current.pid }, "Envoy's admin interface is closed, another of its kind takes over");
    try {
      const again = await replace(current, { ...current.options, envoyPath: `/proc/${current.pid}/exe` });
      return { serving: { ...again, options: current.options }, fault };
    } catch (error) {
      return { serving: current, fault: `${fault}; its admin interface stays closed: ${errorText(error)}` };
    }
  }

  return {
    async begin(options) {
      await rm(baseIdPath, { force: true });
      if (await canShareMemory()) return start(options, { number: 0, baseIdPath, predecessorSeconds });
      log.warn(
        { directory: memoryDirectory },
        "not writable: Envoy cannot be replaced without losing requests",
      );
      return start(options, undefined);
    },
    async takeOver(current, options) {
      const fault = await findFault(options, signal);
      if (fault !== "") return { serving: current, fault };
      // Whoever drains would be ended at once by the arrival of a third.
      await draining;
      const why = await waitFor([current], (info) => info === undefined || isServing(info, current.epoch));
      if (why !== "") return { serving: current, fault: `the Envoy that runs does not serve yet: ${why}` };
      try {
        return { serving: await replace(current, options), fault: "" };
      } catch (error) {
        return reopenAdmin(current, errorText(error));
      }
    },
    drained: () => draining,
    async end() {
      // It has nobody any more who would end it.
      if (signal.aborted) killDraining();
      else signal.addEventListener("abort", killDraining, { once: true });
      await rm(sharedMemory(await readBaseId()), { force: true }).catch(() => {});
    },
  };
}

function isServing(info: ServerInfo | undefined, epoch: number): boolean {
  return info?.state === "LIVE" && info.command_line_options.restart_epoch === epoch;
}

const memoryDirectory = "/dev/shm";

/** Where Envoy keeps what the Envoys of a base id share; it makes room for ten ids. */
function sharedMemory(baseId: string): string {
  return `${memoryDirectory}/envoy_shared_memory_${baseId}0`;
}

async function canShareMemory(): Promise<boolean> {
  return access(memoryDirectory, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/**
 * An Envoy that dies while it starts leaves a mark in the shared memory that it is starting, and none after it could. Gives
 * a function that puts the memory back as it is now, as a new file: whoever has the old one mapped keeps it.
 */
async function saveSharedMemory(baseId: string): Promise<() => Promise<void>> {
  if (!/^\d+$/.test(baseId))
    throw new SystemError(
      "envoy",
      `the Envoy that runs was started without hot restart; make ${memoryDirectory} writable and restart the agent`,
    );
  const path = sharedMemory(baseId);
  const bytes = await readFile(path);
  return async () => {
    await rm(path, { force: true });
    await writeFile(path, bytes, { mode: 0o600 });
  };
}
