import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { type Answer, get } from "../test/peers/request.ts";
import { layOutSeed, type SeedFiles } from "../test/peers/seed-system.ts";
import { createRoles, type SeparateRoles } from "../test/peers/separate-roles.ts";
import { until } from "../test/peers/until.ts";

/** An Envoy and the embedded gateway, each behind an agent. */
export interface GatewayPair {
  readonly upstreamPort: number;
  readonly gateways: readonly RunningGateway[];
  close(): Promise<void>;
}

interface RunningGateway {
  readonly name: string;
  readonly files: SeedFiles;
  readonly roles: SeparateRoles;
  /** Sends requests for a host, one after the other, until an answer passes; resolves with the moment. */
  waitFor(host: string, passes: (answer: Answer) => boolean): Promise<number>;
}

/** Starts both, each with core and discovery of its own: two gateways cannot have the same ports on one machine. */
export async function startGatewayPair(
  coreFlags: readonly string[],
  discoveryFlags: readonly string[],
): Promise<GatewayPair> {
  const gateways: RunningGateway[] = [];
  for (const name of ["envoy", "embedded"] as const) {
    const files = await layOutSeed(name);
    const roles = createRoles(files, { core: coreFlags, discovery: discoveryFlags });
    for (const role of roles.all) roles.start(role);
    gateways.push({ name, files, roles, waitFor: createWaiting(files.trafficPort) });
  }
  return {
    upstreamPort: gateways[0]!.files.upstreamPort,
    gateways,
    async close() {
      for (const { roles, files } of gateways) {
        await roles.close();
        await files.close();
      }
    },
  };
}

/** Between two requests, so that asking does not take the processor from what is asked for. */
const restMs = 2;

function createWaiting(port: number): RunningGateway["waitFor"] {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return async (host, passes) => {
    let at = 0;
    await until(
      `${host} is answered as wanted at port ${port}`,
      async () => {
        for (let round = 0; round < 20; round++) {
          const answer = await get(port, "/", host, agent).catch(() => undefined);
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
