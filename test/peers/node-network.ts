import { randomInt } from "node:crypto";
import { runCommand } from "../../src/run-command.ts";

/** The addresses of a cluster with one node: a /16 of its own, which the machine reaches over the node. */
export interface NodeNetwork {
  /** Of the machine, as the node and its Pods see it: here the API server listens. */
  readonly machine: string;
  readonly node: string;
  readonly all: string;
  readonly pods: string;
  readonly services: string;
  /** Of the machine's end of the line to the node. */
  readonly interfaceName: string;
}

/** Addresses that nothing on this machine has. */
export async function freeNodeNetwork(): Promise<NodeNetwork> {
  const routes = await run("ip", ["-4", "route", "show", "table", "all"]);
  for (let attempt = 0; attempt < 50; attempt++) {
    const prefix = `10.${randomInt(130, 255)}`;
    if (routes.includes(`${prefix}.`)) continue;
    return {
      ...{ machine: `${prefix}.0.1`, node: `${prefix}.0.2`, all: `${prefix}.0.0/16` },
      ...{ pods: `${prefix}.1.0/24`, services: `${prefix}.128.0/17` },
      interfaceName: `node${prefix.slice(3)}`,
    };
  }
  throw new Error("no network found that this machine has no route to");
}

/** Gives the machine its address, and a line that ends nowhere until `connectNode`. */
export async function openNodeNetwork({ interfaceName, machine, node, all }: NodeNetwork): Promise<void> {
  await run("ip", ["link", "add", interfaceName, "type", "veth", "peer", "name", `${interfaceName}n`]);
  await run("ip", ["address", "add", `${machine}/30`, "dev", interfaceName]);
  await run("ip", ["link", "set", interfaceName, "up"]);
  await run("ip", ["route", "add", all, "via", node]);
}

/** Puts the other end into the network namespace of a program. */
export async function connectNode(network: NodeNetwork, pid: number): Promise<void> {
  const { interfaceName, machine, node } = network;
  await run("ip", ["link", "set", `${interfaceName}n`, "netns", `${pid}`, "name", "eth0"]);
  const inside = (...args: readonly string[]) => run("nsenter", [`--net=/proc/${pid}/ns/net`, ...args]);
  await inside("ip", "link", "set", "lo", "up");
  await inside("ip", "address", "add", `${node}/30`, "dev", "eth0");
  await inside("ip", "link", "set", "eth0", "up");
  await inside("ip", "route", "add", "default", "via", machine);
}

/** Removes the line, and with it the routes over it. */
export async function closeNodeNetwork({ interfaceName }: NodeNetwork): Promise<void> {
  await runCommand("ip", ["link", "delete", interfaceName]);
}

export async function run(command: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(command, args);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr.trim()}`);
  return stdout;
}
