// The embedded gateway under edits: a program of its own, behind a server of ADS here, with wrk on 32 keep-alive connections.
//   node --import tsx bench/many-edits.ts [edits=10000]
// Edits are of every kind: a plugin's configuration, plugins that come, go and change places in a chain, a module with
// other bytes, a plugin that is refused, a listener with another filter. Each begins when the one before is answered for.
// Prints ms from an edit to its answer and the gateway's resident memory, and fails if a request failed.
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { FilterChainConfigSchema } from "../src/gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import {
  chainResource,
  clusterResource,
  extensionResource,
  listenerResource,
  slotJson,
  wasmJson,
} from "../test/peers/ads-resources.ts";
import { openAdsServer } from "../test/peers/ads-server.ts";
import { requirePeers } from "../test/peers/peers.ts";
import { freePort, freePortOffset } from "../test/peers/ports.ts";
import { startProgram, startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { until } from "../test/peers/until.ts";
import { residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";

const edits = Number(process.argv[2] ?? 10_000);
const { wrk } = await requirePeers();
const directory = await mkdtemp(join(tmpdir(), "many-edits-"));
const transformer = await readFile(new URL("../build/plugins/transformer.wasm", import.meta.url));
const upstream = createServer((_, response) => response.end("ok")).listen(0, "127.0.0.1");
await once(upstream, "listening");
const upstreamPort = (upstream.address() as AddressInfo).port;
const port = await freePort();

/** A module of its own: the same, with another number behind it. */
async function writeModule(number: number): Promise<string> {
  const file = join(directory, `module-${number}.wasm`);
  const bytes = [number & 127, (number >> 7) & 127, (number >> 14) & 127];
  await writeFile(file, Buffer.concat([transformer, Buffer.from([0, 5, 1, 0x78, ...bytes])]));
  return file;
}

function plugin(name: string, file: string, value: string): JsonObject {
  const respRules = [{ operate: "append", headers: [{ key: "x-trail", appendValue: value }] }];
  return wasmJson(name, {
    file,
    configuration: JSON.stringify(value === "refused" ? { respRules: 1 } : { respRules }),
  });
}

let file = await writeModule(0);
let names = ["a", "b", "c"];
const values = new Map<string, string>();
const listener = (isLonger: boolean) => {
  const filters = [slotJson("own"), slotJson("chain", FilterChainConfigSchema)];
  return [
    listenerResource("l", port, {
      filters: isLonger ? [...filters, plugin("inline", file, "inline")] : filters,
    }),
  ];
};
const extensions = () => [
  extensionResource(plugin("own", file, values.get("own") ?? "0")),
  chainResource("chain", ...names.map((name) => plugin(name, file, values.get(name) ?? "0"))),
];

const server = await openAdsServer(`unix:${join(directory, "xds.sock")}`, {
  cluster: [clusterResource("up", upstreamPort)],
  listener: listener(false),
  extensionConfig: extensions(),
});
const offset = ["--port-offset", String(await freePortOffset())];
const gateway = startWasmline(["gateway", "--socket", join(directory, "xds.sock"), ...offset]);
await until("the gateway serves", async () => (await get(port, "/", "a.com")).status === 200);

/** Makes one of the changes, and resolves when the gateway has answered. */
async function change(edit: number): Promise<void> {
  const value = String(edit);
  if (edit % 500 === 0) file = await writeModule(edit / 500);
  if (edit % 50 === 0) server.set({ listener: listener(edit % 100 === 0) });
  else if (edit % 10 === 1)
    names = names.includes("d") ? names.filter((name) => name !== "d") : [...names, "d"];
  else if (edit % 10 === 2) names = [...names.slice(1), names[0]!];
  else if (edit % 10 === 3) values.set("own", "refused");
  else values.set(edit % 2 === 0 ? "own" : names[edit % names.length]!, value);
  server.set({ extensionConfig: extensions() });
  await server.answered();
}

const load = startProgram(wrk, ["-t1", "-c32", "-d3600s", "--timeout", "30s", `http://127.0.0.1:${port}/`]);
const took: number[] = [];
const memory: number[] = [];
for (let edit = 1; edit <= edits; edit++) {
  const began = performance.now();
  await change(edit);
  took.push(performance.now() - began);
  if (edit % Math.ceil(edits / 10) === 0) memory.push(residentMiB(gateway.pid));
}
values.set("own", "last");
server.set({ extensionConfig: extensions() });
await until("the last edit is in effect", async () =>
  String((await get(port, "/", "a.com")).headers["x-trail"]).includes("last"),
);
await load.stop("SIGINT");
const failures = load
  .stdout()
  .split("\n")
  .filter((line) => /socket errors|non-2xx/i.test(line));
console.log(`${edits} edits under load; ms from an edit to its answer`);
console.log(`  ${distribution(took)}`);
console.log(`  resident memory, MiB, after each tenth: ${memory.map((each) => each.toFixed(0)).join(" ")}`);
console.log(
  `${/\d+ requests in/.exec(load.stdout())?.[0]} wrk's time; failed: ${failures.join("; ") || "none"}`,
);
await gateway.stop();
server.close();
upstream.close();
upstream.closeAllConnections();
await rm(directory, { recursive: true });
if (failures.length > 0) process.exitCode = 1;
