import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fstatSync } from "node:fs";
import type { Log } from "../log.ts";
import { runCommand } from "../run-command.ts";
import { SystemError } from "../system-error.ts";
import { type EnvoyLogLine, type EnvoyLogTail, envoyLogFormat, forwardEnvoyLog } from "./envoy-log.ts";
import { isExecutable } from "./install-envoy.ts";

export interface StartEnvoyOptions {
  readonly envoyPath: string;
  readonly bootstrapPath: string;
  /** Settings that are merged over the bootstrap, as JSON or YAML; "" for none. */
  readonly overrides?: string;
  /** Which Envoy of a line of hot restarts this is; undefined where it cannot be in one. */
  readonly epoch?: Epoch;
  readonly concurrency: number;
  readonly log: Log;
  /** Hears of each line of Envoy's log. */
  readonly onLogLine?: (line: EnvoyLogLine) => void;
  /** Of what Envoy says itself. */
  readonly logLevel?: "trace" | "debug" | "info" | "warning" | "error" | "critical" | "off";
  /** For single components, as Envoy writes it. What plugins log has the component `wasm`. */
  readonly componentLogLevel?: string;
  /** How long connections of a listener that was replaced may stay. */
  readonly listenerDrainSeconds?: number;
}

/** A place in a line of hot restarts: Envoy N takes over the listeners of Envoy N - 1 of the same base id. */
export interface Epoch {
  readonly number: number;
  /** Gets the base id that the first of the line chooses. */
  readonly baseIdPath: string;
  /** The line's base id, of all but its first. */
  readonly baseId?: string;
  /** How long the one before may take to drain until this one ends it. */
  readonly predecessorSeconds: number;
}

/** An Envoy that was started. */
export interface RunningEnvoy {
  readonly pid: number;
  /** Resolves when it is gone and its log was read, with how it ended: `status 1`, `signal SIGSEGV`. */
  readonly ended: Promise<string>;
  readonly tail: EnvoyLogTail;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Starts Envoy. It does not outlive us: it is killed when we exit, and by the kernel (`setpriv --pdeathsig`, where
 * util-linux is installed) when we are killed hard. Without setpriv an Envoy whose agent was killed hard stays until it
 * is stopped by hand, or by the container that ends with the agent. Fails with `envoy` if it cannot be started.
 */
export async function startEnvoy(options: StartEnvoyOptions): Promise<RunningEnvoy> {
  const { envoyPath, log } = options;
  if (!(await isExecutable(envoyPath)))
    throw new SystemError("envoy", `cannot start Envoy: ${envoyPath} is no executable file`);
  const guarded = await hasParentDeathSignal();
  const [file, ...args] = [...(guarded ? parentDeathSignal : []), envoyPath, ...envoyArguments(options)];
  // In a session of its own it does not get the terminal's Ctrl-C, which would end it before it is drained.
  const child = spawn(file!, args, { stdio: ["ignore", envoyStdout(log), "pipe"], detached: guarded });
  const tail = forwardEnvoyLog(child.stderr!, log, options.onLogLine);
  const killOnExit = () => child.kill("SIGKILL");
  process.once("exit", killOnExit);
  const ended = untilEnded(child).finally(() => process.off("exit", killOnExit));
  if (child.pid === undefined) throw new SystemError("envoy", `cannot start Envoy: ${await ended}`);
  return { pid: child.pid, ended, tail, kill: (signal) => void child.kill(signal) };
}

async function untilEnded(child: ChildProcess): Promise<string> {
  try {
    const [status, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    return signal ? `signal ${signal}` : `status ${status}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function envoyArguments(options: StartEnvoyOptions): string[] {
  const { logLevel = "warning", componentLogLevel = "wasm:info", listenerDrainSeconds = 45 } = options;
  return [
    ...configurationArguments(options),
    ...(options.epoch ? epochArguments(options.epoch) : ["--disable-hot-restart"]),
    ...["--concurrency", String(options.concurrency)],
    ...["--drain-time-s", String(listenerDrainSeconds)],
    // Every answer on a draining listener closes its connection; `gradual` leaves most open until the end.
    ...["--drain-strategy", "immediate"],
    ...["--log-level", logLevel],
    ...["--component-log-level", componentLogLevel],
    ...["--log-format", envoyLogFormat],
    "--skip-deprecated-logs",
  ];
}

function configurationArguments({
  bootstrapPath,
  overrides = "",
}: Pick<StartEnvoyOptions, "bootstrapPath" | "overrides">): string[] {
  return ["--config-path", bootstrapPath, ...(overrides === "" ? [] : ["--config-yaml", overrides])];
}

function epochArguments({ number, baseId, baseIdPath, predecessorSeconds }: Epoch): string[] {
  const line =
    baseId === undefined ? ["--use-dynamic-base-id", "--base-id-path", baseIdPath] : ["--base-id", baseId];
  return [
    ...line,
    ...["--restart-epoch", String(number)],
    ...["--parent-shutdown-time-s", String(predecessorSeconds)],
    // To get them an Envoy waits for its predecessor in its main thread, and dies if that has died.
    "--skip-hot-restart-parent-stats",
  ];
}

const validationMs = 60_000;

/** Why an Envoy cannot be run, "" where nothing is known against it: it is let check the bootstrap, and opens no port for that. */
export async function findFault(
  options: Pick<StartEnvoyOptions, "envoyPath" | "bootstrapPath" | "overrides">,
  signal?: AbortSignal,
): Promise<string> {
  const { envoyPath } = options;
  if (!(await isExecutable(envoyPath))) return `${envoyPath} is no executable file`;
  const args = ["--mode", "validate", ...configurationArguments(options), "--log-level", "warning"];
  const { status, stderr } = await runCommand(envoyPath, args, { timeoutMs: validationMs, signal });
  if (status === 0) return "";
  const said = stderr.trim().split("\n").slice(-2).join(" ").slice(-1000) || "nothing";
  const end = status === undefined ? "did not end by itself" : `ended with status ${status}`;
  return `${envoyPath} does not take its bootstrap: with --mode validate it ${end} and said: ${said}`;
}

const parentDeathSignal = ["setpriv", "--pdeathsig", "KILL", "--"];
let supported: Promise<boolean> | undefined;

/** Whether there is a setpriv that knows the option; BusyBox's does not. */
function hasParentDeathSignal(): Promise<boolean> {
  const [file, ...args] = parentDeathSignal;
  supported ??= runCommand(file!, [...args, "true"]).then(({ status }) => status === 0);
  return supported;
}

/**
 * Envoy's standard output is our standard error: access logs for `/dev/stdout` go past us, at no cost. `/dev/stdout`
 * cannot be opened where it is a socket (systemd's journal), and Envoy would refuse every listener that names it.
 */
function envoyStdout(log: Log): 2 | "ignore" {
  if (!isSocket(2)) return 2;
  log.debug({}, "standard error is a socket, access logs for /dev/stdout are dropped");
  return "ignore";
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return true;
  }
}
