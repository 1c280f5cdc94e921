// Envoy (--concurrency 1) and the embedded gateway side by side: CPU in µs for each request of the proxy's own process.
//   node --import tsx bench/gateway.ts [rounds=5] [seconds=3] [CASE]...
// Same upstream, wrk with 32 keep-alive connections, in turn A B A B; without plugins (`none`), with three of AssemblyScript
// (`assemblyscript`) and with three on Higress' Go SDK (`go`, which needs Go 1.24 or newer).
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runCommand } from "../src/agent/run-command.ts";
import { adaptModule } from "../src/wasm/adapt-module.ts";
import { buildGuest } from "../test/guests/build-guests.ts";
import { requirePeers } from "../test/peers/peers.ts";
import { freePort } from "../test/peers/ports.ts";
import { type Program, startProgram } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { type EnvoyPlugin, staticEnvoy } from "../test/peers/static-envoy.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { wrkRequests } from "./wrk.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const [roundsText = "5", secondsText = "3", ...wanted] = process.argv.slice(2);
const [rounds, seconds] = [Number(roundsText), Number(secondsText)];
/** What users run is compiled before: neither a start nor memory may have a compiler in it. */
const gatewayScript = join(root, "build/bench/bench/run-gateway.js");
/** Envoy compiles Go modules for half a minute before it listens. */
const startTimeoutMs = 180_000;
const { envoy: envoyPath, wrk } = await requirePeers();
const directory = await mkdtemp(join(tmpdir(), "wasmline-gateway-"));

const transformer = JSON.stringify({
  reqRules: [{ operate: "replace", headers: [{ key: "x-seen", newValue: "yes" }] }],
});
const keyAuth = JSON.stringify({
  keys: ["x-api-key"],
  in_header: true,
  global_auth: true,
  consumers: [{ name: "ann", credential: "secret" }],
});

interface Case {
  readonly name: string;
  readonly title: string;
  plugins(): readonly EnvoyPlugin[] | Promise<readonly EnvoyPlugin[]>;
  /** Before measuring: V8 makes functions fast that are called often, which costs it seconds for Go's. */
  readonly warmRequests: number;
}

const cases: readonly Case[] = [
  { name: "none", title: "no plugins", plugins: () => [], warmRequests: 10_000 },
  {
    name: "assemblyscript",
    title: "three AssemblyScript plugins",
    plugins: () => [
      { name: "transformer", file: built("transformer"), configuration: transformer },
      { name: "key-auth", file: built("key-auth"), configuration: keyAuth },
      { name: "easy-logger", file: built("easy-logger"), configuration: "{}" },
    ],
    warmRequests: 20_000,
  },
  {
    name: "go",
    title: "three Go plugins on Higress' SDK",
    plugins: async () => [
      await goPlugin("go-transformer", transformer),
      await goPlugin("go-key-auth", keyAuth),
      await goPlugin("go-logger", "{}"),
    ],
    warmRequests: 40_000,
  },
];

function built(name: string): string {
  return join(root, "build/plugins", `${name}.wasm`);
}

/** As the agent hands it to a stock Envoy. */
async function goPlugin(name: string, configuration: string): Promise<EnvoyPlugin> {
  const { bytes } = adaptModule(await readFile(await buildGuest(name)), name, "stock");
  const file = join(directory, `${name}.wasm`);
  await writeFile(file, bytes);
  return { name, file, configuration };
}

interface Proxy {
  readonly program: Program;
  readonly port: number;
  readonly costs: number[];
  readonly startMs: number;
}

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
  return { program, port, costs: [], startMs: performance.now() - began };
}

async function startEmbedded(with_: readonly EnvoyPlugin[]): Promise<Proxy> {
  const modules = with_.flatMap(({ file, configuration }) => [file, configuration]);
  const began = performance.now();
  const profile = process.env.GATEWAY_NODE_FLAGS?.split(" ") ?? [];
  const args = [...profile, gatewayScript, String(upstreamPort), ...modules];
  const program = startProgram(process.execPath, args);
  const [port] = (await program.waitFor("stdout", /^\d+$/m)).map(Number) as [number];
  await answered(port);
  return { program, port, costs: [], startMs: performance.now() - began };
}

function answered(port: number): Promise<boolean> {
  return until(
    "an answer",
    async () => {
      const { status } = await get(port, "/", "foo.com", undefined, { "x-api-key": "secret" });
      return status === 200;
    },
    startTimeoutMs,
  );
}

async function measure({ program, port, costs }: Proxy): Promise<void> {
  const before = cpuMs(program.pid);
  const requests = await wrkRequests(wrk, port, seconds, { "x-api-key": "secret" });
  costs.push(((cpuMs(program.pid) - before) * 1000) / requests);
}

await runCommand(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "bench/tsconfig.json")],
  { timeoutMs: 120_000 },
);
for (const each of cases.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) await run(each);

async function run({ title, plugins, warmRequests }: Case): Promise<void> {
  const with_ = await plugins();
  const proxies = [await startEnvoy(with_), await startEmbedded(with_)];
  for (const { port } of proxies)
    for (let done = 0; done < warmRequests; )
      done += await wrkRequests(wrk, port, 2, { "x-api-key": "secret" });
  for (let round = 0; round < rounds; round++) for (const proxy of proxies) await measure(proxy);
  const [envoy, embedded] = proxies.map(figuresOf) as [Figures, Figures];
  console.log(`${title}:`);
  for (const [name, { costs, startMs, residentMiB }] of Object.entries({ envoy, embedded }))
    console.log(
      `  ${name}: CPU µs a request ${distribution(costs)}; start to first answer ${startMs.toFixed(0)} ms; ` +
        `resident ${residentMiB.toFixed(0)} MiB`,
    );
  const ratio = (of: (figures: Figures) => number) => (of(embedded) / of(envoy)).toFixed(2);
  console.log(
    `  embedded to Envoy: CPU ${ratio(({ costs }) => median(costs))}, start ${ratio(({ startMs }) => startMs)}, ` +
      `resident ${ratio(({ residentMiB }) => residentMiB)}`,
  );
  for (const { program } of proxies) await program.stop();
}

interface Figures {
  readonly costs: readonly number[];
  readonly startMs: number;
  readonly residentMiB: number;
}

function figuresOf({ costs, startMs, program }: Proxy): Figures {
  return { costs, startMs, residentMiB: residentMiB(program.pid) };
}

upstream.closeAllConnections();
upstream.close();
await rm(directory, { recursive: true });

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
