import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { errorText } from "../../src/system-error.ts";

const run = promisify(execFile);

/** Machines on one machine: network namespaces behind a bridge. Only they and this machine know its addresses. */
export interface NetworkNamespaces {
  /** This machine's address for them. */
  readonly address: string;
  readonly machines: readonly NetworkNamespace[];
  close(): Promise<void>;
}

export interface NetworkNamespace {
  readonly address: string;
  /** What runs a program there, as the beginning of its command line. The program has the pid of what was started. */
  readonly prefix: readonly string[];
}

/** Makes some. Rejects where this user or this kernel cannot. */
export async function createNetworkNamespaces(count: number): Promise<NetworkNamespaces> {
  const { pid } = process;
  const bridge = `wl${pid}`;
  // Of the network that is set aside for benchmarks (RFC 2544); another program's are others.
  const addressOf = (host: number) => `198.${18 + ((pid >> 8) & 1)}.${pid & 255}.${host}`;
  const machines = Array.from({ length: count }, (_, index) => ({
    name: `${bridge}-${index}`,
    address: addressOf(index + 2),
  }));
  const ip = (command: string) => run("ip", command.split(" "));
  const close = async () => {
    for (const { name } of machines) await ip(`netns del ${name}`).catch(() => {});
    await ip(`link del ${bridge}`).catch(() => {});
  };
  try {
    await ip(`link add ${bridge} type bridge`);
    await ip(`addr add ${addressOf(1)}/24 dev ${bridge}`);
    await ip(`link set ${bridge} up`);
    for (const [index, { name, address }] of machines.entries()) {
      await ip(`netns add ${name}`);
      await ip(`link add ${bridge}v${index} master ${bridge} type veth peer name eth0 netns ${name}`);
      await ip(`link set ${bridge}v${index} up`);
      await ip(`-n ${name} addr add ${address}/24 dev eth0`);
      await ip(`-n ${name} link set lo up`);
      await ip(`-n ${name} link set eth0 up`);
    }
  } catch (error) {
    await close();
    throw new Error(`no network namespaces can be made here: ${errorText(error)}`, { cause: error });
  }
  return {
    address: addressOf(1),
    machines: machines.map(({ name, address }) => ({ address, prefix: ["ip", "netns", "exec", name] })),
    close,
  };
}
