import { execFile } from "node:child_process";

/** What a command left behind. `status` is undefined if it did not end by itself: not found, killed, out of time. */
export interface CommandResult {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** True if there is no such command. */
  readonly notFound: boolean;
}

export interface CommandOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Where it runs; where we do unless given. */
  readonly cwd?: string;
}

const maxOutputBytes = 8 * 1024 * 1024;

/** Runs a command to its end, with no shell between. Never rejects: a failure is in the result. */
export function runCommand(
  file: string,
  args: readonly string[],
  { signal, timeoutMs = 60_000, env, cwd }: CommandOptions = {},
): Promise<CommandResult> {
  const options = { signal, timeout: timeoutMs, env, cwd, maxBuffer: maxOutputBytes };
  return new Promise((resolve) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      resolve({
        status: typeof code === "number" ? code : undefined,
        stdout,
        stderr,
        notFound: code === "ENOENT",
      });
    });
  });
}
