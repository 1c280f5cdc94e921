// From saving a change of the chain to its effect, by kind of change.
//   node --import tsx bench/chain-changes.ts [changes=200] [listener|dynamic=dynamic] [plugins=4] [--gateway envoy|embedded] [--load]
// With --load, wrk sends requests on 32 keep-alive connections meanwhile, as fast as they are answered. Times are ms to
// the first answer with the change, asked for on a keep-alive connection (a new one when that is closed). Without a load
// and with an Envoy as many changes again are made without requests: bytes are those that Envoy gets from its agent, CPU is Envoy's, both
// for one change of any kind, and for one edit.
import { Agent } from "node:http";
import { startChainSystem } from "../test/e2e/chain-system.ts";
import { downstream, startLoad } from "../test/e2e/load.ts";
import { type ChainChange, changeKinds, createRandomChain } from "../test/e2e/random-chain.ts";
import { envoyStats, getJson } from "../test/e2e/status.ts";
import { get } from "../test/peers/request.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { gatewayArgument } from "./gateway-argument.ts";

const changes = Number(process.argv[2] ?? 200);
const gateway = gatewayArgument();
const shape = process.argv[3] === "listener" ? "listener" : "dynamic";
const system = await startChainSystem(gateway, "--chain", shape);
const { trafficPort, adminPort, dir, offset } = system.files;
const own = new Agent({ keepAlive: true, maxSockets: 1 });

/** The trail of a request; undefined where its connection was closed under it, as a drained listener's is. */
async function trail(): Promise<string | undefined> {
  return get(trafficPort, "/", "other.com", own).then(
    ({ headers }) => String(headers["x-trail"] ?? ""),
    () => undefined,
  );
}

async function effectMs({ savedAt, after }: ChainChange): Promise<number> {
  while ((await trail()) !== after) {
    if (performance.now() - savedAt > 20_000)
      throw new Error(`no ${after} within 20 s:\n${system.up.stderr()}`);
  }
  return performance.now() - savedAt;
}

const received = async () => {
  const name = "cluster.xds-grpc.upstream_cx_rx_bytes_total";
  return (await envoyStats(adminPort, `^${name.replaceAll(".", "\\.")}$`))[name] ?? Number.NaN;
};

const size = Number(process.argv[4] ?? 4) || 4;
const chain = createRandomChain(dir, 1, size);
while (chain.count() < size) await effectMs(await chain.next("add"));
const load = process.argv.includes("--load") ? await startLoad(system.files, "other.com") : undefined;
const took = new Map<string, number[]>(changeKinds.map((kind) => [kind, []]));
for (let change = 1; change <= changes; change++) {
  const saved = await chain.next();
  took.get(saved.kind)!.push(await effectMs(saved));
}
const closed = load && (await downstream(adminPort, trafficPort)).destroyed - load.connections.destroyed;
const report = await load?.finish();
console.log(
  `${changes} changes of about ${size} plugins, --chain=${shape}${load ? ", under load" : ""}; ms from saving to effect`,
);
for (const [kind, values] of took) console.log(`  ${kind.padEnd(8)} ${distribution(values)}`);
console.log(`  all      ${distribution([...took.values()].flat())}`);
if (report) {
  const failures = report.failures.join("; ") || "none failed";
  console.log(`${report.requests} requests, ${failures}; ${closed} connections closed by the gateway`);
}
if (!load && gateway === "envoy") {
  console.log(`  ${await costOf(() => chain.next())} for each change`);
  console.log(`  ${await costOf(() => chain.next("edit"))} for each edit`);
}

/** Every nonce that the gateway was sent, once it has answered all. */
async function answeredNonces(): Promise<string | undefined> {
  const [gateway] = await getJson<{ resources: Record<string, { sent: string; acked: string }> }[]>(
    15014 + offset,
    "/debug/syncz",
  );
  const resources = Object.values(gateway!.resources);
  return resources.every(({ sent, acked }) => sent === acked) ? JSON.stringify(resources) : undefined;
}

async function costOf(change: () => Promise<unknown>): Promise<string> {
  const { envoy } = await getJson<{ envoy: { pid: number } }>(15020 + offset, "/debug/modules");
  const before = { bytes: await received(), cpu: cpuMs(envoy.pid) };
  for (let index = 0; index < changes; index++) {
    const nonces = await until("all is answered", answeredNonces);
    await change();
    await until("the change is answered", async () => {
      const now = await answeredNonces();
      return now !== undefined && now !== nonces;
    });
  }
  const kib = ((await received()) - before.bytes) / changes / 1024;
  return `${kib.toFixed(1)} KiB to Envoy, ${((cpuMs(envoy.pid) - before.cpu) / changes).toFixed(1)} ms of its CPU`;
}
own.destroy();
await system.close();
