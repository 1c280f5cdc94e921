import { readFile } from "node:fs/promises";
import { getJson } from "../e2e/status.ts";
import type { NetworkNamespace } from "./network-namespaces.ts";
import { type Program, startWasmline } from "./program.ts";
import type { Place } from "./request.ts";
import type { SeedFiles } from "./seed-system.ts";
import { until } from "./until.ts";

/** An Envoy has no program of its own here: its agent runs it. */
export type Role = "registry" | "core" | "discovery" | "agent" | "gateway";

/** The roles of a system, each a program of its own. */
export interface SeparateRoles {
  /** What there is to start. */
  readonly all: readonly Role[];
  start(role: Role): void;
  /** Sends SIGTERM, or what is given, and resolves with the exit status (null for a signal) when it is gone. */
  stop(role: Role, signal?: NodeJS.Signals): Promise<number | null>;
  /** Of a role that was started. */
  pidOf(role: Role): number;
  /** What a role has written so far. */
  stderr(role: Role): string;
  /** The gateway's, once it runs. */
  gatewayPid(): Promise<number>;
  /** Kills the gateway hard. Another one is started: an Envoy by its agent. */
  killGateway(): Promise<void>;
  /** Ends all of them. */
  close(): Promise<void>;
}

const roleFlags: Readonly<Record<Role, readonly string[]>> = {
  registry: ["--port-offset", "--layout"],
  core: ["--port-offset"],
  discovery: ["--port-offset"],
  agent: ["--port-offset", "--data-dir", "--envoy-path", "--concurrency", "--registry-mirror"],
  gateway: ["--port-offset", "--data-dir", "--concurrency"],
};

/** Runs the chapter's resources with a program for each role; what is given is added to the agent's flags. */
export function createSeparateRoles(files: SeedFiles, ...agentFlags: readonly string[]): SeparateRoles {
  return createRoles(files, { core: ["-f", files.dir], agent: agentFlags });
}

/** Runs a program for each role, with more flags for some; on this machine, or on another where the agent listens on its address. */
export function createRoles(
  files: SeedFiles,
  flags: Partial<Record<Role, readonly string[]>>,
  machine?: NetworkNamespace,
): SeparateRoles {
  const isEmbedded = files.gateway === "embedded";
  const running = new Map<Role, Program>();
  const more: Partial<Record<Role, readonly string[]>> = {
    ...flags,
    agent: [...(isEmbedded ? ["--no-envoy", "--gateway-abi", "higress"] : []), ...(flags.agent ?? [])],
  };
  const all: readonly Role[] = [
    "registry",
    "core",
    "discovery",
    "agent",
    ...(isEmbedded ? ["gateway" as const] : []),
  ];
  const start = (role: Role) => {
    const args = [role, ...named(files, roleFlags[role]), ...(more[role] ?? [])];
    running.set(role, startWasmline(args, {}, machine?.prefix));
  };
  const stop: SeparateRoles["stop"] = (role, signal) => running.get(role)!.stop(signal);
  const gatewayPid = async () =>
    isEmbedded
      ? running.get("gateway")!.pid
      : until("the agent runs an Envoy", () =>
          envoyPid({ host: machine?.address ?? "127.0.0.1", port: 15020 + files.offset }),
        );
  return {
    all,
    start,
    stop,
    pidOf: (role) => running.get(role)!.pid,
    stderr: (role) => running.get(role)!.stderr(),
    gatewayPid,
    async killGateway() {
      if (isEmbedded) {
        await stop("gateway", "SIGKILL");
        return start("gateway");
      }
      const pid = await gatewayPid();
      process.kill(pid, "SIGKILL");
      await until("another Envoy is started", async () => (await gatewayPid()) !== pid);
    },
    async close() {
      for (const role of [...all].reverse()) await running.get(role)?.stop();
    },
  };
}

/** Those of a system's flags that have one of these names, with their values. */
function named({ flags }: SeedFiles, names: readonly string[]): string[] {
  return flags.flatMap((flag, index) => (names.includes(flag) ? [flag, flags[index + 1]!] : []));
}

/** The agent's Envoy. Before it is one, the kernel has not been told yet to end it with its agent. */
async function envoyPid(agent: Place): Promise<number | undefined> {
  const { envoy } = await getJson<{ envoy?: { phase: string; pid: number } }>(agent, "/debug/modules");
  if (envoy?.phase !== "running") return undefined;
  const commandLine = await readFile(`/proc/${envoy.pid}/cmdline`, "utf8");
  return commandLine.startsWith("setpriv") ? undefined : envoy.pid;
}
