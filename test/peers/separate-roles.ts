import { type Program, startWasmline } from "./program.ts";
import type { SeedFiles } from "./seed-system.ts";

export type Role = "registry" | "core" | "discovery" | "agent";

/** The roles of a system, each a program of its own. */
export interface SeparateRoles {
  start(role: Role): void;
  /** Sends SIGTERM, or what is given, and resolves with the exit status (null for a signal) when it is gone. */
  stop(role: Role, signal?: NodeJS.Signals): Promise<number | null>;
  /** What a role has written so far. */
  stderr(role: Role): string;
  /** Ends all of them. */
  close(): Promise<void>;
}

/** Runs the chapter's resources with a program for each role; what is given is added to the agent's flags. */
export function createSeparateRoles(files: SeedFiles, ...agentFlags: readonly string[]): SeparateRoles {
  const running = new Map<Role, Program>();
  const named = (...names: readonly string[]) =>
    files.flags.flatMap((flag, index) => (names.includes(flag) ? [flag, files.flags[index + 1]!] : []));
  const flags: Readonly<Record<Role, readonly string[]>> = {
    registry: named("--port-offset", "--layout"),
    core: ["-f", files.dir, ...named("--port-offset")],
    discovery: named("--port-offset"),
    agent: [
      ...named("--port-offset", "--data-dir", "--envoy-path", "--concurrency", "--registry-mirror"),
      ...agentFlags,
    ],
  };
  return {
    start: (role) => void running.set(role, startWasmline([role, ...flags[role]])),
    stop: (role, signal) => running.get(role)!.stop(signal),
    stderr: (role) => running.get(role)!.stderr(),
    async close() {
      for (const role of ["agent", "discovery", "core", "registry"] as const) await running.get(role)?.stop();
    },
  };
}
