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
  /** Resolves when no Envoy drains any more, or has for as long as it may. */
  drained(): Promise<void>;
  /** Removes what the line had on the machine, once the Envoy that served is gone. One that drains goes with the signal. */
  end(): Promise<void>;
}

const pollMs = 50;
const adminMs = 1000;
/** What an Envoy may take longer than it was told until it is killed: its successor may be compiling a module. */
const graceMs = 60_000;
/** For the start of an Envoy that nobody has measured. */
const unknownStartMs = 20_000;
const minStartMs = 2000;

export function createEnvoyLine(line: EnvoyLineOptions): EnvoyLine {
  const { admin, baseIdPath, drainMs, takeOverMs, log, signal } = line;
  let draining: Promise<void> = Promise.resolve();
  let drained: Promise<void> = draining;
  let killDraining = () => {};
  let startMs = unknownStartMs;

  const readBaseId = async () => (await readFile(baseIdPath, "utf8").catch(() => "")).trim();

  async function removeSharedMemory(): Promise<void> {
    const baseId = await readBaseId();
    if (isBaseId(baseId)) await rm(sharedMemory(baseId), { force: true }).catch(() => {});
  }

  async function start(options: StartEnvoyOptions, epoch: Epoch | undefined): Promise<LineEnvoy> {
    return { ...(await startEnvoy({ ...options, epoch })), epoch: epoch?.number ?? 0, options };
  }

  /**
   * How long an Envoy gives its predecessor from when it takes over. The time of Envoy's timer begins with the round of
   * its event loop that ends the start, and that may be as long as modules take to compile. So it gets more than the
   * drain time: three times what the last start took.
   */
  function predecessorMs(): number {
    return drainMs + Math.min(3 * Math.max(startMs, minStartMs), takeOverMs);
  }

  /** Waits until an Envoy serves, and notes how long that took. Gives the reason why it never did, "" where it did. */
  async function waitForStart(envoy: LineEnvoy, others: readonly LineEnvoy[]): Promise<string> {
    const began = performance.now();
    const why = await waitFor([envoy, ...others], (found) => isServing(found, envoy.epoch));
    if (why === "") startMs = performance.now() - began;
    return why;
  }

  /** Polls Envoy's admin interface until `settled` is true of what it says. Gives the reason why it never was, "" where it was. */
  async function waitFor(envoys: readonly LineEnvoy[], settled: (found: Found) => boolean): Promise<string> {
    let ended = "";
    for (const { pid, ended: end } of envoys)
      void end.then((how) => {
        ended ||= `the Envoy with pid ${pid} ended (${how})`;
      });
    const limit = performance.now() + takeOverMs;
    while (!settled(await findServer(admin))) {
      if (ended !== "") return ended;
      if (signal.aborted) return "it was not finished when the agent was stopped";
      if (performance.now() > limit) return `it took longer than ${takeOverMs} ms`;
      await sleep(pollMs);
    }
    return ended;
  }

  /** Its successor ends it after the drain time. One that stays, or has lost its successor, is killed. */
  function watchDraining({ pid, ended, kill }: LineEnvoy, givenMs: number): void {
    const over = new AbortController();
    const timer = setTimeout(() => {
      log.warn({ pid }, "the Envoy that was taken over from does not end, it is killed");
      kill("SIGKILL");
    }, givenMs + graceMs);
    killDraining = () => kill("SIGKILL");
    draining = ended.then((how) => {
      clearTimeout(timer);
      over.abort();
      log.info({ pid, how }, "the Envoy that was taken over from has ended");
    });
    drained = sleep(drainMs, undefined, { signal: over.signal }).catch(() => {});
  }

  /** @throws SystemError `envoy` with the reason why `current` serves on */
  async function replace(current: LineEnvoy, options: StartEnvoyOptions): Promise<LineEnvoy> {
    const baseId = await readBaseId();
    const restoreMemory = await saveSharedMemory(baseId);
    const givenMs = predecessorMs();
    const predecessorSeconds = Math.ceil(givenMs / 1000);
    const next = await start(options, { number: current.epoch + 1, baseIdPath, baseId, predecessorSeconds });
    const why = await waitForStart(next, [current]);
    if (why === "") {
      watchDraining(current, givenMs);
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
    if (signal.aborted || (await findServer(admin)) !== "closed") return { serving: current, fault };
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
      // An agent that was killed could not do it.
      await removeSharedMemory();
      await rm(baseIdPath, { force: true });
      if (await canShareMemory()) {
        const first = await start(options, { number: 0, baseIdPath, predecessorSeconds: 0 });
        void waitForStart(first, []);
        return first;
      }
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
      const why = await waitFor([current], (found) => found === "closed" || isServing(found, current.epoch));
      if (why !== "") return { serving: current, fault: `the Envoy that runs does not serve yet: ${why}` };
      try {
        return { serving: await replace(current, options), fault: "" };
      } catch (error) {
        return reopenAdmin(current, errorText(error));
      }
    },
    drained: () => drained,
    async end() {
      // It has nobody any more who would end it.
      if (signal.aborted) killDraining();
      else signal.addEventListener("abort", killDraining, { once: true });
      await removeSharedMemory();
    },
  };
}

/** Who is found at an admin interface: nobody answers where it is being handed over, or Envoy is busy. */
type Found = ServerInfo | "closed" | "silent";

async function findServer(admin: AdminAddress): Promise<Found> {
  try {
    return await serverInfo(admin, { timeoutMs: adminMs });
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED" ? "closed" : "silent";
  }
}

function isServing(found: Found, epoch: number): boolean {
  return (
    typeof found === "object" && found.state === "LIVE" && found.command_line_options.restart_epoch === epoch
  );
}

const memoryDirectory = "/dev/shm";

function isBaseId(text: string): boolean {
  return /^\d+$/.test(text);
}

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
  if (!isBaseId(baseId))
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
