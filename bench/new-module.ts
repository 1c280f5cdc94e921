// A new module of Go, 6 MB, and new configurations while 32 connections are busy, on the chapter's system.
//   node --import tsx bench/new-module.ts [modules=3] [configurations=20] [--gateway envoy|embedded]
// Prints ms from saving the file to the first changed answer on a keep-alive connection, and how many requests failed.
// Needs Go 1.24 or newer.
import { readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writePluginImage } from "../src/oci/image-layout.ts";
import { downstream, startLoad } from "../test/e2e/load.ts";
import { listenerChanges } from "../test/e2e/status.ts";
import { buildGuest } from "../test/guests/build-guests.ts";
import { startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { layOutSeed } from "../test/peers/seed-system.ts";
import { distribution } from "./distribution.ts";
import { gatewayArgument } from "./gateway-argument.ts";

const [modules = 3, configurations = 20] = process.argv.slice(2).map(Number).filter(Number.isFinite);
const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
const transformer = fileURLToPath(new URL("../build/plugins/transformer.wasm", import.meta.url));
const limitMs = 120_000;

const files = await layOutSeed(gatewayArgument());
// A line for each request of a load would be a load of its own.
await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
const layout = join(files.dataDir, "..", "images");
const go = await readFile(await buildGuest("go-header"));
const publish = (tag: string, wasm: Uint8Array) =>
  writePluginImage(layout, { repository: "plugins/marker", tag, wasm });
await publish("small", await readFile(transformer));
// Other bytes for each, so that none was compiled before.
for (let each = 1; each <= modules; each++)
  await publish(`go-${each}`, Buffer.concat([go, Buffer.from([0, 2, 1, each])]));

/** Writes the plugin that marks responses with a value in x-go. */
async function put(tag: string, value: string): Promise<void> {
  const rule = { operate: "add", headers: [{ key: "x-go", value }] };
  const defaultConfig = tag === "small" ? { respRules: [rule] } : { header: value };
  const spec = { phase: "AUTHN", priority: 900, defaultConfig, url: `oci://${registry}/marker:${tag}` };
  const metadata = { name: "marker", namespace: "higress-system" };
  const plugin = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
  await writeFile(join(files.dir, "marker.yaml"), `${JSON.stringify(plugin)}\n`);
}

await put("small", "start");
const up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout]);
await up.waitFor("stdout", /^ready .* 5 plugins in effect$/m);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const load = await startLoad(files, "other.com");
const listeners = JSON.stringify(await listenerChanges(files.adminPort));

/** Saves a change and gives the ms until an answer shows it. */
async function measure(tag: string, value: string): Promise<number> {
  const saved = performance.now();
  await put(tag, value);
  for (;;) {
    const { headers } = await get(files.trafficPort, "/", "other.com", agent);
    if (headers["x-go"] === value) return performance.now() - saved;
    if (performance.now() - saved > limitMs)
      throw new Error(`${tag} ${value} did not take effect:\n${up.stderr()}`);
  }
}

const ofModules: number[] = [];
const back: number[] = [];
const ofConfigurations: number[] = [];
for (let each = 1; each <= modules; each++) {
  ofModules.push(await measure(`go-${each}`, `module-${each}`));
  if (each < modules) back.push(await measure("small", `small-${each}`));
}
for (let each = 1; each <= configurations; each++)
  ofConfigurations.push(await measure(`go-${modules}`, `configuration-${each}`));

const connections = await downstream(files.adminPort, files.trafficPort);
const isTouched = JSON.stringify(await listenerChanges(files.adminPort)) !== listeners;
const { requests, failures } = await load.finish();
console.log(`32 connections; ms from saving to the first changed answer`);
console.log(`  a new Go module, ${(go.length / 1e6).toFixed(1)} MB  ${distribution(ofModules)}`);
if (back.length > 0) console.log(`  back to a small module    ${distribution(back)}`);
console.log(`  a new configuration of it ${distribution(ofConfigurations)}`);
console.log(`${requests} requests; failed: ${failures.join("; ") || "0"}`);
const closed = connections.destroyed - load.connections.destroyed;
console.log(`connections closed: ${closed}; listener ${isTouched ? "changed" : "untouched"}`);
agent.destroy();
await up.stop();
await files.close();
