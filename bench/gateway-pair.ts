import { Agent, createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { errorText } from "../src/system-error.ts";
import { createNetworkNamespaces, type NetworkNamespaces } from "../test/peers/network-namespaces.ts";
import { type Answer, get, type Place } from "../test/peers/request.ts";
import { layOutSeed, type SeedFiles } from "../test/peers/seed-system.ts";
import { createRoles, type Role, type SeparateRoles } from "../test/peers/separate-roles.ts";
import { until } from "../test/peers/until.ts";

/** An Envoy and the embedded gateway, each behind an agent. */
export interface GatewayPair {
  /** Answers everything with 200, for both. */
  readonly upstream: { readonly address: string; readonly port: number };
  readonly gateways: readonly RunningGateway[];
  /** Of each core and each discovery that there is. */
  readonly controlPids: readonly number[];
  close(): Promise<void>;
}

interface RunningGateway {
  readonly name: string;
  readonly roles: SeparateRoles;
  /** Sends requests for a host, one after the other, until an answer passes; resolves with the moment. */
  waitFor(host: string, passes: (answer: Answer) => boolean): Promise<number>;
}

/** What there is to start. */
interface Part {
  readonly roles: SeparateRoles;
  readonly starts: readonly Role[];
  /** Of the gateway's, where it has one. */
  readonly traffic?: Place;
}

type Flags = Readonly<Record<"core" | "discovery", readonly string[]>>;

const kinds = ["envoy", "embedded"] as const;
const control: readonly Role[] = ["core", "discovery"];
const isBeside = (role: Role) => !control.includes(role);

/**
 * Starts both on one core and discovery, each gateway on a machine of its own, since two cannot have the same ports on
 * one. Where no such machines can be made each has core and discovery of its own.
 */
export async function startGatewayPair(
  core: readonly string[],
  discovery: readonly string[],
): Promise<GatewayPair> {
  const fleet = await createNetworkNamespaces(kinds.length).catch((error) => {
    console.log(`Each gateway has core and discovery of its own: ${errorText(error)}`);
    return undefined;
  });
  const address = fleet?.address ?? "127.0.0.1";
  const upstream = await startUpstream(address);
  const files = await Promise.all(kinds.map((name) => layOutSeed(name)));
  const parts = fleet ? fleetOf(fleet, files, { core, discovery }) : apart(files, { core, discovery });
  for (const { roles, starts } of parts) for (const role of starts) roles.start(role);
  return {
    upstream: { address, port: (upstream.address() as AddressInfo).port },
    gateways: parts.flatMap(({ roles, traffic }, index) =>
      traffic ? [{ name: kinds[index]!, roles, waitFor: createWaiting(traffic) }] : [],
    ),
    controlPids: parts.flatMap(({ roles, starts }) =>
      starts.filter((role) => !isBeside(role)).map((role) => roles.pidOf(role)),
    ),
    async close() {
      for (const { roles } of parts) await roles.close();
      for (const { close } of files) await close();
      upstream.close();
      await fleet?.close();
    },
  };
}

/** One core and discovery here, and each gateway with what is beside it on a machine. */
function fleetOf(fleet: NetworkNamespaces, files: readonly SeedFiles[], flags: Flags): Part[] {
  const [{ offset }] = files as [SeedFiles];
  const gateways = files.map((each, index) => {
    const machine = fleet.machines[index]!;
    const agent = [
      ...["--discovery", `${fleet.address}:${15010 + offset}`],
      ...["--bind", machine.address, "--node-name", each.gateway],
    ];
    const roles = createRoles(each, { agent }, machine);
    const traffic = { host: machine.address, port: 8080 + offset };
    return { roles, starts: roles.all.filter(isBeside), traffic };
  });
  const roles = createRoles(files[0]!, {
    core: [...flags.core, "--gateway-bind", "0.0.0.0"],
    discovery: [...flags.discovery, "--xds-bind", fleet.address],
  });
  return [...gateways, { roles, starts: control }];
}

function apart(files: readonly SeedFiles[], flags: Flags): Part[] {
  return files.map((each) => {
    const roles = createRoles(each, flags);
    return { roles, starts: roles.all, traffic: { host: "127.0.0.1", port: each.trafficPort } };
  });
}

function startUpstream(address: string): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((_request, response) => response.end("upstream\n"));
    server.listen(0, address, () => resolve(server));
  });
}

/** Between two requests, so that asking does not take the processor from what is asked for. */
const restMs = 2;

function createWaiting(place: Place): RunningGateway["waitFor"] {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return async (host, passes) => {
    let at = 0;
    await until(
      `${host} is answered as wanted at ${JSON.stringify(place)}`,
      async () => {
        for (let round = 0; round < 20; round++) {
          const answer = await get(place, "/", host, agent).catch(() => undefined);
          at = performance.now();
          if (answer && passes(answer)) return true;
          await pause(restMs);
        }
        return false;
      },
      120_000,
    );
    return at;
  };
}
