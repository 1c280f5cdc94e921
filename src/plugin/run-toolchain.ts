import { type CommandOptions, type CommandResult, runCommand } from "../run-command.ts";
import { SystemError } from "../system-error.ts";

/** A first build may have to fetch what it depends on. */
const buildTimeoutMs = 15 * 60_000;

/**
 * Runs a program of a toolchain. `remedy` says how to get it where there is none.
 * @throws SystemError `toolchain` where it is missing, is stopped or takes too long
 */
export async function runToolchain(
  program: string,
  args: readonly string[],
  remedy: string,
  options: CommandOptions,
): Promise<CommandResult> {
  const result = await runCommand(program, args, { timeoutMs: buildTimeoutMs, ...options });
  if (result.notFound) throw new SystemError("toolchain", `${program} is not in PATH; ${remedy}`);
  if (options.signal?.aborted) throw new SystemError("cancelled", `${program} ${args[0]}: cancelled`);
  if (result.status !== undefined) return result;
  throw new SystemError("toolchain", `${program} ${args.join(" ")} was stopped: ${lastLines(result)}`);
}

/** What a program said last, for messages. */
export function lastLines({ stdout, stderr }: CommandResult): string {
  return (stderr.trim() || stdout.trim() || "it said nothing").split("\n").slice(-20).join("\n");
}

/** A version of the toolchain. */
export interface RequiredVersion {
  readonly program: string;
  /** What it says of itself. */
  readonly found: string;
  readonly wanted: readonly [major: number, minor: number];
  /** Why an older one does not do, and how to get one. */
  readonly reason: string;
}

/** @throws SystemError `toolchain` unless the first `1.2` in what was found is as new as what is wanted */
export function checkVersion({ program, found, wanted, reason }: RequiredVersion): void {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(found) ?? [];
  const isNewer = Number(major) > wanted[0] || (Number(major) === wanted[0] && Number(minor) >= wanted[1]);
  if (isNewer) return;
  throw new SystemError(
    "toolchain",
    `${program} is too old: found ${JSON.stringify(found.trim())}, wanted ${wanted.join(".")} or later; ${reason}`,
  );
}
