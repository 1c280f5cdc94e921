import { createSocket } from "node:dgram";
import { createServer } from "node:net";

/** Ports of all roles, as the interface page lists them; `up` adds the offset to each. */
const rolePorts = [5080, 8080, 8443, 8888, 15000, 15010, 15012, 15014, 15020, 15051, 15052];

const firstPort = 6000;
/** From here Linux takes ports for connections, at any moment. */
const firstOfConnections = 32_768;
const maxAttempts = 100;
const claimAddress = "127.0.0.2";

/** Any free port on 127.0.0.1, this program's for as long as it runs. */
export async function freePort(): Promise<number> {
  const [port] = await claimAny(() => [randomBetween(firstPort, firstOfConnections)]);
  return port!;
}

/** An offset at which every role's port is free on 127.0.0.1, and this program's for as long as it runs. */
export async function freePortOffset(): Promise<number> {
  const last = firstOfConnections - Math.max(...rolePorts);
  const ports = await claimAny(() => {
    const offset = randomBetween(1000, last);
    return rolePorts.map((port) => port + offset);
  });
  return ports[0]! - rolePorts[0]!;
}

/** As many of such offsets. */
export async function freePortOffsets(count: number): Promise<readonly number[]> {
  const offsets: number[] = [];
  while (offsets.length < count) offsets.push(await freePortOffset());
  return offsets;
}

async function claimAny(choose: () => readonly number[]): Promise<readonly number[]> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const ports = choose();
    const releases = await Promise.all(ports.map(claim));
    if (releases.every((release) => release !== undefined)) return ports;
    for (const release of releases) release?.();
  }
  throw new Error("no ports found that are free");
}

/**
 * Takes a port among all programs that take theirs here, until this one ends; undefined if it is not free. Gateways
 * share ports (SO_REUSEPORT), so that two tests with the same one would both start, and get each other's requests. The claim is
 * the port of the same number for UDP, at a loopback address that nothing else here uses.
 */
async function claim(port: number): Promise<(() => void) | undefined> {
  const socket = createSocket("udp4").unref();
  const isOurs = await new Promise<boolean>((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind({ port, address: claimAddress, exclusive: true }, () => resolve(true));
  });
  if (isOurs && (await isFree(port))) return () => socket.close();
  socket.close();
  return undefined;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The last is left out. */
function randomBetween(first: number, last: number): number {
  return first + Math.floor(Math.random() * (last - first));
}
