// Plugins of this repository beside the same on Higress' Go SDK, and a header plugin beside one in Rust.
//   node --expose-gc --import tsx bench/plugins.ts [rounds=5] [seconds=3] [host|gateways]
// `host`: each plugin alone in the gateway's host: CPU of a stream, memory of its VM, size of its module.
// `gateways`: three of them in a gateway under wrk with 32 keep-alive connections: CPU of a request and resident memory of the
// gateway's own process, beyond those of a gateway without plugins, in turn. Needs Go 1.24 or newer and Rust.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildPlugin, compileModule } from "../sdk/test/modules.ts";
import { adaptModule } from "../src/wasm/adapt-module.ts";
import { buildGuest } from "../test/guests/build-guests.ts";
import { requirePeers } from "../test/peers/peers.ts";
import type { EnvoyPlugin } from "../test/peers/static-envoy.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { measureModule, type PluginCost } from "./plugin-cost.ts";
import { type BenchGateway, startBenchGateway } from "./start-gateway.ts";
import { wrkRequests } from "./wrk.ts";

const [roundsText = "5", secondsText = "3", only = ""] = process.argv.slice(2);
const [rounds, seconds] = [Number(roundsText), Number(secondsText)];
const key = { "x-api-key": "secret" };

const configurations: Readonly<Record<string, object>> = {
  transformer: {
    reqRules: [{ operate: "replace", headers: [{ key: "x-seen", newValue: "yes" }] }],
  },
  "key-auth": {
    keys: ["x-api-key"],
    in_header: true,
    global_auth: true,
    consumers: [{ name: "ann", credential: "secret" }],
  },
  "easy-logger": {},
};

/** A figure beside what is wanted of it. */
function ratio(ours: number, theirs: number, wanted: number): string {
  const value = ours / theirs;
  return `${value.toFixed(3)} (wanted: at most ${wanted}${value <= wanted ? "" : ", MISSED"})`;
}

async function comparePlugins(): Promise<void> {
  for (const [name, configuration] of Object.entries(configurations)) {
    const text = JSON.stringify(configuration);
    const ours = await measure(await buildPlugin(name), text, 50_000);
    const go = await measure(await buildGuest(`go-${name}`), text, 100_000);
    console.log(`${name}:\n  AssemblyScript ${describe(ours)}\n  Go             ${describe(go)}`);
    console.log(`  CPU ${ratio(ours.nsPerStream, go.nsPerStream, 0.25)}`);
    console.log(`  memory ${ratio(ours.memoryBytes, go.memoryBytes, 0.05)}`);
    console.log(`  size ${ratio(ours.moduleBytes, go.moduleBytes, 0.02)}`);
  }
  const header = await compileModule("sdk/fixture/header.ts", "build/test/header.wasm");
  const ours = await measure(header, "", 100_000);
  const rust = await measure(await buildGuest("rust-add-header"), "", 100_000);
  console.log(`a response header:\n  AssemblyScript ${describe(ours)}\n  Rust           ${describe(rust)}`);
  console.log(`  CPU ${ratio(ours.nsPerStream, rust.nsPerStream, 1.5)}`);
}

function measure(file: string, configuration: string, warmStreams: number): Promise<PluginCost> {
  return measureModule({ file, configuration, warmStreams }, 3 * rounds);
}

function describe({ nsPerStream, memoryBytes, moduleBytes }: PluginCost): string {
  const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`;
  return `${nsPerStream.toFixed(0)} ns of CPU a stream, memory ${kib(memoryBytes)}, module ${kib(moduleBytes)}`;
}

/** A gateway under test, and what it took so far. */
interface Runner {
  readonly gateway: BenchGateway;
  readonly costs: number[];
}

interface Figures {
  readonly cpu: number;
  readonly resident: number;
}

async function compareGateways(): Promise<void> {
  const { wrk } = await requirePeers();
  const directory = await mkdtemp(join(tmpdir(), "wasmline-plugins-"));
  const upstream = createServer((_, response) => response.end("hello\n"));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  const sets = {
    none: [],
    ours: await Promise.all(Object.keys(configurations).map(ourPlugin)),
    go: await Promise.all(Object.keys(configurations).map((name) => goPlugin(name, directory))),
  };
  const found = new Map<string, Figures>();
  for (const kind of ["envoy", "embedded"] as const) {
    const runners = new Map<string, Runner>();
    for (const [name, plugins] of Object.entries(sets)) {
      const gateway = await startBenchGateway(kind, port, plugins, { pluginsLog: true });
      runners.set(name, { gateway, costs: [] });
      for (let done = 0; done < (name === "go" ? 40_000 : 20_000); )
        done += await wrkRequests(wrk, gateway.port, 2, key);
    }
    for (let round = 0; round < rounds; round++)
      for (const runner of runners.values()) await measureRunner(wrk, runner);
    for (const [name, { gateway, costs }] of runners) {
      const cpu = costs.toSorted((a, b) => a - b)[Math.floor(costs.length / 2)]!;
      found.set(`${kind} ${name}`, { cpu, resident: residentMiB(gateway.pid) });
      await gateway.stop();
    }
  }
  upstream.closeAllConnections();
  upstream.close();
  await rm(directory, { recursive: true });
  report(found);
}

async function measureRunner(wrk: string, { gateway, costs }: Runner): Promise<void> {
  const before = cpuMs(gateway.pid);
  const requests = await wrkRequests(wrk, gateway.port, seconds, key);
  costs.push(((cpuMs(gateway.pid) - before) * 1000) / requests);
}

function report(found: ReadonlyMap<string, Figures>): void {
  for (const [name, { cpu, resident }] of found)
    console.log(`${name}: CPU of a request ${cpu.toFixed(1)} µs, resident ${resident.toFixed(0)} MiB`);
  for (const kind of ["envoy", "embedded"]) {
    const [none, ours, go] = ["none", "ours", "go"].map((name) => found.get(`${kind} ${name}`)!);
    console.log(`three plugins in ${kind}, beyond a gateway without any:`);
    console.log(`  CPU ${ratio(ours!.cpu - none!.cpu, go!.cpu - none!.cpu, 0.25)}`);
    console.log(`  resident ${ratio(ours!.resident - none!.resident, go!.resident - none!.resident, 0.05)}`);
  }
  const of = (name: string) => found.get(name)!.cpu;
  const [ours, go] = [of("embedded ours") - of("embedded none"), of("envoy go") - of("envoy none")];
  console.log(
    `three of ours in the embedded gateway to three in Go in Envoy: CPU beyond a gateway without any ${ratio(ours, go, 0.2)}`,
  );
  const whole = of("embedded ours") / of("envoy go");
  const bare = of("embedded none") / of("envoy go");
  console.log(`  whole requests ${whole.toFixed(3)}; without plugins it is ${bare.toFixed(3)} already`);
}

async function ourPlugin(name: string): Promise<EnvoyPlugin> {
  return { name, file: await buildPlugin(name), configuration: JSON.stringify(configurations[name]) };
}

/** As the agent hands it to a stock Envoy. */
async function goPlugin(name: string, directory: string): Promise<EnvoyPlugin> {
  const { bytes } = adaptModule(await readFile(await buildGuest(`go-${name}`)), name, "stock");
  const file = join(directory, `${name}.wasm`);
  await writeFile(file, bytes);
  return { name, file, configuration: JSON.stringify(configurations[name]) };
}

if (only !== "gateways") await comparePlugins();
if (only !== "host") await compareGateways();
