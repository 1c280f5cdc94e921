import { requirePeers } from "../peers/peers.ts";
import { startProgram } from "../peers/program.ts";
import type { SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { envoyStats } from "./status.ts";

/** Keep-alive connections of a load. */
const loadConnections = 32;

/** What wrk has to say at its end. */
export interface LoadReport {
  readonly requests: number;
  /** wrk's lines about failed connections and about answers other than 2xx and 3xx; it prints them only if there are any. */
  readonly failures: readonly string[];
}

/** Requests for one host, as fast as they are answered, until `finish`. */
export interface Load {
  /** Once those of the load were there: what is opened or closed afterwards, somebody else opened or something broke. */
  readonly connections: Downstream;
  /** Ends the load and gives its result. */
  finish(): Promise<LoadReport>;
}

/** Starts wrk at a system's HTTP port, where so many connections are open, and waits until all of its own are there. */
export async function startLoad(
  { trafficPort, adminPort }: SeedFiles,
  host: string,
  openBefore = 0,
): Promise<Load> {
  const { wrk } = await requirePeers();
  // What an earlier test has closed may still be open at the gateway.
  const before = await until("the other connections are gone", async () => {
    const now = await downstream(adminPort, trafficPort);
    return now.active === openBefore ? now : undefined;
  });
  // A request may take as long as a busy machine needs: how long is not what a load is for.
  const flags = ["-t1", `-c${loadConnections}`, "-d600s", "--timeout", "30s", "-H", `Host: ${host}`];
  const program = startProgram(wrk, [...flags, `http://127.0.0.1:${trafficPort}/`]);
  const connections = await until("all connections of the load are there", async () => {
    const now = await downstream(adminPort, trafficPort);
    // The first of them is closed at once: wrk looks whether it can connect at all.
    const isComplete =
      now.total === before.total + loadConnections + 1 && now.destroyed === before.destroyed + 1;
    return isComplete ? now : undefined;
  }).catch(async (error) => {
    await program.stop();
    throw error;
  });
  return {
    connections,
    async finish() {
      await program.stop("SIGINT");
      return readReport(program.stdout());
    },
  };
}

function readReport(text: string): LoadReport {
  const requests = /^\s*(\d+) requests in/m.exec(text)?.[1];
  if (requests === undefined) throw new Error(`wrk gave no summary: ${text}`);
  const failures = text.split("\n").filter((line) => /socket errors|non-2xx/i.test(line));
  return { requests: Number(requests), failures };
}

/** Connections of clients at the listener of a port. */
export interface Downstream {
  /** Since the gateway started. */
  readonly total: number;
  readonly destroyed: number;
  readonly active: number;
}

/** What the gateway has counted of the connections at the listener of a port. */
export async function downstream(adminPort: number, port: number): Promise<Downstream> {
  const prefix = `listener.127.0.0.1_${port}.downstream_cx_`;
  const stats = await envoyStats(adminPort, `^${prefix.replaceAll(".", "\\.")}(total|destroy|active)$`);
  const of = (name: string) => stats[`${prefix}${name}`] ?? Number.NaN;
  return { total: of("total"), destroyed: of("destroy"), active: of("active") };
}
