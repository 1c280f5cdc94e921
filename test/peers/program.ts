import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The built command line: tests run what users run. */
export const wasmlineProgram = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A program that a test started. */
export interface Program {
  readonly pid: number;
  /** Everything it has written so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves when the output matches, with the match. Fails when the program ends before or the time is over. */
  waitFor(output: "stdout" | "stderr", pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** Sends SIGTERM, or what is given, and resolves with the exit status (null for a signal) when it is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  readonly ended: Promise<number | null>;
}

/** Starts `wasmline ARGS`, behind what is to run it where that is given. */
export function startWasmline(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  prefix: readonly string[] = [],
): Program {
  const [command = "", ...rest] = [...prefix, process.execPath, ...nodeArguments(), wasmlineProgram, ...args];
  return startProgram(command, rest, env);
}

/** A warning says where it comes from. WASMLINE_TEST_NODE_ARGS holds more arguments for Node, such as `--cpu-prof --cpu-prof-dir=DIR` to profile what a benchmark runs. */
function nodeArguments(): string[] {
  return ["--trace-warnings", ...(process.env.WASMLINE_TEST_NODE_ARGS?.split(" ") ?? [])];
}

export function startProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
    });
  }
  const killOnExit = () => child.kill("SIGKILL");
  process.once("exit", killOnExit);
  const ended = once(child, "close").then(([status]) => {
    process.off("exit", killOnExit);
    const leak = /^.*MaxListenersExceededWarning.*(?:\n +at .*)*/m.exec(text.stderr)?.[0];
    if (leak) throw new Error(`${command} ${args.join(" ")} leaks listeners: ${leak}`);
    return status as number | null;
  });
  // Who never asks for the end has nothing to say about it.
  ended.catch(() => {});
  return {
    pid: child.pid ?? -1,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    waitFor: (output, pattern, timeoutMs = 60_000) =>
      waitFor(
        child,
        () => text[output],
        pattern,
        timeoutMs,
        () => `${text.stdout}${text.stderr}`,
      ),
    stop(signal = "SIGTERM") {
      if (child.exitCode === null) child.kill(signal);
      return ended;
    },
    ended,
  };
}

function waitFor(
  child: ChildProcess,
  text: () => string,
  pattern: RegExp,
  timeoutMs: number,
  all: () => string,
) {
  return new Promise<RegExpMatchArray>((resolve, reject) => {
    const finish = (result: () => void) => {
      clearTimeout(timer);
      child.stdout!.off("data", check);
      child.stderr!.off("data", check);
      child.off("close", closed);
      result();
    };
    const check = () => {
      const match = text().match(pattern);
      if (match) finish(() => resolve(match));
    };
    const closed = () => finish(() => reject(new Error(`ended before ${pattern} was there:\n${all()}`)));
    const timer = setTimeout(
      () => finish(() => reject(new Error(`no ${pattern} within ${timeoutMs} ms:\n${all()}`))),
      timeoutMs,
    );
    child.stdout!.on("data", check);
    child.stderr!.on("data", check);
    child.on("close", closed);
    check();
  });
}
