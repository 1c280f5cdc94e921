// What it costs that plugins of Higress' Go SDK find the names of route and cluster on a stock Envoy.
//   node --import tsx bench/property-names.ts [rounds=7] [seconds=2]
// CPU of Envoy in µs for each request (wrk, 32 keep-alive connections, one worker), with the rule that applied. The cases
// take turns, so that what else the machine does hits all of them.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { currentRouteName } from "../src/agent/current-route.ts";
import { adaptModule } from "../src/wasm/adapt-module.ts";
import { applyEdits, encodeNumber, resized } from "../src/wasm/module-edits.ts";
import { readModule } from "../src/wasm/read-module.ts";
import { rbacTypeUrl, wasmTypeUrl } from "../src/xds/type-urls.ts";
import { buildGuest } from "../test/guests/build-guests.ts";
import { assembleModule, body, number } from "../test/peers/assemble-module.ts";
import { text } from "../test/peers/hand-made-module.ts";
import { requirePeers } from "../test/peers/peers.ts";
import { freePort } from "../test/peers/ports.ts";
import { type Program, startProgram } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs } from "./cpu.ts";
import { distribution } from "./distribution.ts";

const [rounds = 7, seconds = 2] = process.argv.slice(2).map(Number);
const transformer = fileURLToPath(new URL("../build/plugins/transformer.wasm", import.meta.url));
const any = (name: string) => `type.googleapis.com/envoy.${name}`;
const rules = {
  rule: "default",
  _rules_: [
    { _match_domain_: ["other.com"], rule: "domain" },
    { _match_service_: ["echo.static"], rule: "service" },
    { _match_route_: ["echo"], rule: "route" },
  ],
};
const rewriting = { reqRules: [{ operate: "replace", headers: [{ key: "x-seen", newValue: "yes" }] }] };

/** A running Envoy with some plugins. */
interface Case {
  readonly name: string;
  readonly envoy: Program;
  readonly port: number;
  readonly costs: number[];
}

const { envoy: envoyPath, wrk } = await requirePeers();
const directory = await mkdtemp(join(tmpdir(), "wasmline-names-"));
const upstream = createServer((_, response) => response.end("hello\n"));
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const goModule = await readFile(await buildGuest("go-rules"));
const files = {
  marked: await save("marked", withMarker(goModule)),
  adapted: await save("adapted", adaptModule(goModule, "go-rules", "stock").bytes),
  copying: await save("copying", copyingFilter()),
};
const marked = plugin("go-rules", files.marked, rules);
const adapted = plugin("go-rules", files.adapted, rules);
const transform = plugin("transformer", transformer, rewriting);
const currentRoute = { name: currentRouteName, typed_config: { "@type": rbacTypeUrl } };
const chains: Readonly<Record<string, readonly object[]>> = {
  "no plugin": [],
  "Go plugin, marker renamed": [marked],
  "Go plugin, marker and names": [adapted],
  "copying filter, Go plugin, marker renamed": [plugin("copying", files.copying, {}), marked],
  "transformer, Go plugin, marker and names": [transform, adapted],
  "transformer, current route, Go plugin, marker and names": [transform, currentRoute, adapted],
};
const cases: Case[] = [];
try {
  for (const [name, filters] of Object.entries(chains)) cases.push(await start(name, filters));
  for (let round = 0; round < rounds; round++) for (const one of cases) one.costs.push(await measure(one));
  for (const { name, costs, port } of cases) {
    const { headers } = await get(port);
    console.log(`${name.padEnd(56)} ${String(headers["x-rule"]).padEnd(10)} ${distribution(costs)}`);
  }
} finally {
  for (const { envoy } of cases) await envoy.stop("SIGKILL");
  upstream.close();
  upstream.closeAllConnections();
  await rm(directory, { recursive: true, force: true });
}

async function save(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(directory, `${name}.wasm`);
  await writeFile(path, bytes);
  return path;
}

async function start(name: string, filters: readonly object[]): Promise<Case> {
  const port = await freePort();
  const config = join(directory, `${cases.length}.json`);
  await writeFile(config, JSON.stringify(bootstrap(port, filters)));
  const flags = ["--concurrency", "1", "--disable-hot-restart", "-l", "error"];
  const envoy = startProgram(envoyPath, ["-c", config, ...flags]);
  await until(`${name} answers`, async () => (await get(port)).status === 200, 60_000);
  return { name, envoy, port, costs: [] };
}

/** µs of Envoy's CPU for each request. */
async function measure({ envoy, port }: Case): Promise<number> {
  const before = cpuMs(envoy.pid);
  const load = startProgram(wrk, ["-t1", "-c32", `-d${seconds}s`, `http://127.0.0.1:${port}/`]);
  await load.ended;
  const requests = Number(/(\d+) requests in/.exec(load.stdout())?.[1]);
  return ((cpuMs(envoy.pid) - before) * 1000) / requests;
}

function bootstrap(port: number, filters: readonly object[]) {
  const address = (value: number) => ({ socket_address: { address: "127.0.0.1", port_value: value } });
  const cluster = "outbound|80||echo.static";
  const endpoint = { endpoint: { address: address((upstream.address() as AddressInfo).port) } };
  const router = {
    name: "router",
    typed_config: { "@type": any("extensions.filters.http.router.v3.Router") },
  };
  const route = { name: "echo", match: { prefix: "/" }, route: { cluster } };
  const connections = {
    "@type": any("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "bench",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [route] }] },
    http_filters: [...filters, router],
  };
  const chain = { filters: [{ name: "http", typed_config: connections }] };
  const load_assignment = { cluster_name: cluster, endpoints: [{ lb_endpoints: [endpoint] }] };
  return {
    static_resources: {
      listeners: [{ name: "bench", address: address(port), filter_chains: [chain] }],
      clusters: [{ name: cluster, type: "STATIC", load_assignment }],
    },
  };
}

function plugin(name: string, filename: string, configuration: object) {
  const value = JSON.stringify(configuration);
  const vm_config = { vm_id: name, runtime: "envoy.wasm.runtime.v8", code: { local: { filename } } };
  const settings = { "@type": "type.googleapis.com/google.protobuf.StringValue", value };
  const config = { name, root_id: name, configuration: settings, vm_config };
  return { name, typed_config: { "@type": wasmTypeUrl, config } };
}

/** The module with the marker of a stock ABI, and nothing else changed. */
function withMarker(bytes: Uint8Array): Uint8Array {
  const { exports, exportSection } = readModule(bytes, "go-rules");
  const { start, end } = exports.find(({ name }) => name === "proxy_abi_version_0_2_100")!;
  const name = Buffer.from("proxy_abi_version_0_2_1");
  const entry = Buffer.concat([encodeNumber(name.length), name]);
  return applyEdits(bytes, resized(exportSection!, [{ start, end, bytes: entry }]));
}

/** The other way to give plugins the names: a filter that copies both at the head of the chain, where they are not old yet. */
function copyingFilter(): Uint8Array {
  const i32 = 0x7f;
  const [nothing, property, create, allocate, start, headers] = [0, 1, 2, 3, 4, 5];
  const [getProperty, setProperty] = [0, 1];
  const names = ["route_name", "cluster_name"];
  const at = (index: number) => 1024 + index * 32;
  const int = (value: number) => [0x41, ...number(value, 3)];
  const load = (address: number) => [...int(address), 0x28, 2, 0];
  const copy = names.flatMap((name, index) => [
    ...[...int(at(index)), ...int(name.length + 4), ...int(8), ...int(12), 0x10, getProperty, 0x1a],
    ...[...int(at(index) + 4), ...int(name.length), ...load(8), ...load(12), 0x10, setProperty, 0x1a],
  ]);
  const own = (name: string, type: number, code: readonly number[]) => ({ name, type, code });
  const functions = [
    own("proxy_abi_version_0_2_1", nothing, []),
    own("proxy_on_context_create", create, []),
    own("malloc", allocate, int(2048)),
    own("proxy_on_vm_start", start, int(1)),
    own("proxy_on_configure", start, int(1)),
    own("proxy_on_request_headers", headers, [...copy, ...int(0)]),
  ];
  const imported = (name: string) => [...text("env"), ...text(name), 0, property];
  return assembleModule({
    types: [
      ...[
        [0x60, 0, 0],
        [0x60, 4, i32, i32, i32, i32, 1, i32],
        [0x60, 2, i32, i32, 0],
      ],
      ...[
        [0x60, 1, i32, 1, i32],
        [0x60, 2, i32, i32, 1, i32],
        [0x60, 3, i32, i32, i32, 1, i32],
      ],
    ],
    imports: [imported("proxy_get_property"), imported("proxy_set_property")],
    functions: functions.map(({ type }) => [type]),
    memories: [[0, 1]],
    exports: [
      [...text("memory"), 2, 0],
      ...functions.map(({ name }, index) => [...text(name), 0, index + 2]),
    ],
    code: functions.map(({ code }) => body(code)),
    data: names.map((name, index) => [0, ...int(at(index)), 0x0b, ...text(`xds\0${name}`)]),
  });
}
