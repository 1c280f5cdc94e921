import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./node-network.ts";
import { type Program, startProgram } from "./program.ts";
import { until } from "./until.ts";

/** Namespaces of processes, mounts and network in which a node's programs run: with them everything goes that they left. */
export interface NodeNamespaces {
  /** Of the process that holds them. */
  readonly pid: number;
  start(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Program;
  run(command: string, args: readonly string[]): Promise<string>;
  end(): Promise<void>;
}

/**
 * What kubelet writes to the kernel, which is not this node's alone: it finds it written already, in files that lie over
 * the kernel's.
 */
const kernelSettings: Readonly<Record<string, string>> = {
  "kernel/keys/root_maxbytes": "25000000",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
};

/** Folders where programs write by themselves. */
const folders = ["var/lib", "var/log", "run"];

/** Starts namespaces whose folders for state are in `directory`, held by a program that waits. */
export async function startNodeNamespaces(directory: string, waiting: string): Promise<NodeNamespaces> {
  const script: string[] = ["set -e"];
  for (const folder of folders) {
    const own = join(directory, folder.replace("/", "-"));
    script.push(`mkdir -p ${own}`, `mount --bind ${own} /${folder}`);
  }
  for (const [name, value] of Object.entries(kernelSettings)) {
    const file = join(directory, name.replaceAll("/", "-"));
    await writeFile(file, `${value}\n`);
    script.push(`mount --bind ${file} /proc/sys/${name}`);
  }
  script.push("echo 1 > /proc/sys/net/ipv4/ip_forward", "echo ready", `exec ${waiting}`);
  const flags = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"];
  const holder = startProgram("unshare", [...flags, "sh", "-c", script.join("\n")]);
  await holder.waitFor("stdout", /^ready$/m);
  const pid = Number(await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8"));
  const enter = [`--target=${pid}`, "--mount", "--net", "--pid", "--uts", "--ipc", "--"];
  return {
    pid,
    start: (command, args, env) => startProgram("nsenter", [...enter, command, ...args], env),
    run: (command, args) => run("nsenter", [...enter, command, ...args]),
    async end() {
      await holder.stop("SIGKILL");
      // The kernel ends all that run in them, and then takes them away.
      await until("the node's namespaces are gone", () => isGone(pid));
    },
  };
}

async function isGone(pid: number): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`).then(
    () => false,
    () => true,
  );
}
