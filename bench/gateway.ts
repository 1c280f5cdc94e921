// Envoy (--concurrency 1) and the embedded gateway side by side: CPU in µs for each request of the proxy's own process.
//   node --import tsx bench/gateway.ts [rounds=5] [seconds=3]
// Same upstream, wrk with 32 keep-alive connections, in turn A B A B; without plugins and with three of AssemblyScript.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requirePeers } from "../test/peers/peers.ts";
import { freePort } from "../test/peers/ports.ts";
import { type Program, startProgram } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { type EnvoyPlugin, staticEnvoy } from "../test/peers/static-envoy.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { wrkRequests } from "./wrk.ts";

const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number);
const module = (name: string) => fileURLToPath(new URL(`../build/plugins/${name}.wasm`, import.meta.url));
const plugins: readonly EnvoyPlugin[] = [
  {
    name: "transformer",
    file: module("transformer"),
    configuration: JSON.stringify({
      reqRules: [{ operate: "replace", headers: [{ key: "x-seen", newValue: "yes" }] }],
    }),
  },
  {
    name: "key-auth",
    file: module("key-auth"),
    configuration: JSON.stringify({
      keys: ["x-api-key"],
      in_header: true,
      global_auth: true,
      consumers: [{ name: "ann", credential: "secret" }],
    }),
  },
  { name: "easy-logger", file: module("easy-logger"), configuration: "{}" },
];

interface Proxy {
  readonly name: string;
  readonly program: Program;
  readonly port: number;
  readonly costs: number[];
  readonly startMs: number;
}

const { envoy: envoyPath, wrk } = await requirePeers();
const directory = await mkdtemp(join(tmpdir(), "wasmline-gateway-"));
const upstream = createServer((_, response) => response.end("hello\n"));
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const upstreamPort = (upstream.address() as AddressInfo).port;

async function startEnvoy(with_: readonly EnvoyPlugin[]): Promise<Proxy> {
  const port = await freePort();
  const file = join(directory, `envoy-${port}.json`);
  await writeFile(file, staticEnvoy({ port, upstreamPort, plugins: with_ }));
  const began = performance.now();
  const args = ["-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "critical"];
  const program = startProgram(envoyPath, args);
  await answered(port);
  return { name: "envoy", program, port, costs: [], startMs: performance.now() - began };
}

async function startEmbedded(with_: readonly EnvoyPlugin[]): Promise<Proxy> {
  const script = fileURLToPath(new URL("run-gateway.ts", import.meta.url));
  const modules = with_.flatMap(({ file, configuration }) => [file, configuration]);
  const began = performance.now();
  const profile = process.env.GATEWAY_NODE_FLAGS?.split(" ") ?? [];
  const args = [...profile, "--import", "tsx", script, String(upstreamPort), ...modules];
  const program = startProgram(process.execPath, args);
  const [port] = (await program.waitFor("stdout", /^\d+$/m)).map(Number) as [number];
  await answered(port);
  return { name: "embedded", program, port, costs: [], startMs: performance.now() - began };
}

function answered(port: number): Promise<boolean> {
  return until("an answer", async () => {
    const { status } = await get(port, "/", "foo.com", undefined, { "x-api-key": "secret" });
    return status === 200;
  });
}

async function measure({ program, port, costs }: Proxy): Promise<void> {
  const before = cpuMs(program.pid);
  const requests = await wrkRequests(wrk, port, seconds, { "x-api-key": "secret" });
  costs.push(((cpuMs(program.pid) - before) * 1000) / requests);
}

for (const [name, with_] of [
  ["no plugins", []],
  ["three AssemblyScript plugins", plugins],
] as const) {
  const proxies = [await startEnvoy(with_), await startEmbedded(with_)];
  for (const proxy of proxies) await wrkRequests(wrk, proxy.port, 1, { "x-api-key": "secret" });
  for (let round = 0; round < rounds; round++) for (const proxy of proxies) await measure(proxy);
  console.log(`${name}:`);
  for (const { name: proxy, costs, startMs, program } of proxies)
    console.log(
      `  ${proxy}: CPU µs a request ${distribution(costs)}; start to first answer ${startMs.toFixed(0)} ms; ` +
        `resident ${residentMiB(program.pid).toFixed(0)} MiB`,
    );
  const [envoy, embedded] = proxies.map(({ costs }) => median(costs)) as [number, number];
  console.log(`  ratio of the medians: ${(embedded / envoy).toFixed(2)}`);
  for (const { program } of proxies) await program.stop();
}
upstream.closeAllConnections();
upstream.close();
await rm(directory, { recursive: true });

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
