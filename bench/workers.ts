// What threads bring and what they cost: requests per second, CPU for each, memory; the embedded gateway with one and with
// two, and Envoy with one and with two. Needs Node 22.12.
//   node --import tsx bench/workers.ts [rounds=3] [seconds=3]
// wrk and the upstream have the same processors: with two of them a second thread finds them taken.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requirePeers } from "../test/peers/peers.ts";
import { freePort } from "../test/peers/ports.ts";
import { type Program, startProgram } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { staticEnvoy } from "../test/peers/static-envoy.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { wrkRequests } from "./wrk.ts";

const [rounds = 3, seconds = 3] = process.argv.slice(2).map(Number);
const module = (name: string) => fileURLToPath(new URL(`../build/plugins/${name}.wasm`, import.meta.url));
const rule = { operate: "replace", headers: [{ key: "x-seen", newValue: "yes" }] };
const transformer = {
  name: "transformer",
  file: module("transformer"),
  configuration: JSON.stringify({ reqRules: [rule] }),
};
const three = ["a", "b", "c"].map((name) => ({ ...transformer, name }));

interface Proxy {
  readonly name: string;
  readonly program: Program;
  readonly port: number;
  readonly costs: number[];
  readonly rates: number[];
}

const { envoy: envoyPath, wrk } = await requirePeers();
const directory = await mkdtemp(join(tmpdir(), "wasmline-workers-"));
const upstream = createServer((_, response) => response.end("hello\n"));
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const upstreamPort = (upstream.address() as AddressInfo).port;

async function startEnvoy(plugins: typeof three, concurrency: number): Promise<Proxy> {
  const port = await freePort();
  const file = join(directory, `envoy-${port}.json`);
  await writeFile(file, staticEnvoy({ port, upstreamPort, plugins }));
  const args = ["-c", file, "--concurrency", String(concurrency), "--use-dynamic-base-id", "-l", "critical"];
  return answering(`envoy, ${concurrency}`, startProgram(envoyPath, args), port);
}

async function startEmbedded(plugins: typeof three, concurrency: number): Promise<Proxy> {
  const port = await freePort();
  const script = fileURLToPath(new URL("run-workers.ts", import.meta.url));
  const modules = plugins.flatMap(({ file, configuration }) => [file, configuration]);
  const args = [
    "--import",
    "tsx",
    script,
    String(port),
    String(upstreamPort),
    String(concurrency),
    ...modules,
  ];
  return answering(`embedded, ${concurrency}`, startProgram(process.execPath, args), port);
}

async function answering(name: string, program: Program, port: number): Promise<Proxy> {
  await until("an answer", async () => (await get(port, "/", "foo.com")).status === 200, 60_000);
  await wrkRequests(wrk, port, 1);
  return { name, program, port, costs: [], rates: [] };
}

async function measure({ program, port, costs, rates }: Proxy): Promise<void> {
  const before = cpuMs(program.pid);
  const requests = await wrkRequests(wrk, port, seconds);
  costs.push(((cpuMs(program.pid) - before) * 1000) / requests);
  rates.push(requests / seconds);
}

console.log(`Node ${process.versions.node}, ${availableParallelism()} processors`);
for (const [name, plugins] of [
  ["no plugins", []],
  ["three AssemblyScript plugins", three],
] as const) {
  const proxies: Proxy[] = [];
  for (const concurrency of [1, 2]) {
    proxies.push(await startEnvoy([...plugins], concurrency));
    proxies.push(await startEmbedded([...plugins], concurrency));
  }
  for (let round = 0; round < rounds; round++) for (const proxy of proxies) await measure(proxy);
  console.log(`${name}:`);
  for (const { name: proxy, costs, rates, program } of proxies) {
    const resident = residentMiB(program.pid).toFixed(0);
    console.log(
      `  ${proxy}: requests/s ${distribution(rates)}; CPU µs ${distribution(costs)}; ${resident} MiB`,
    );
    await program.stop();
  }
}
upstream.closeAllConnections();
upstream.close();
await rm(directory, { recursive: true });
