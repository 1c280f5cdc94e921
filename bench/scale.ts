// Many plugins and many gateways: core and discovery as processes of their own, no Envoy.
//   node --import tsx bench/scale.ts [plugins=1000] [rules=100] [clients=200] [edits=20]
// The reference, istiod 1.29.1 over MCP: 1,000 plugins and 200 clients 2,813 ms, 2.2 s CPU and 124 MB for each edit.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePortOffset } from "../test/peers/ports.ts";
import { startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { generatePlugins } from "./generate-plugins.ts";

const [plugins = 1000, rules = 100, clients = 200, edits = 20] = process.argv.slice(2).map(Number);
const dir = await mkdtemp(join(tmpdir(), "wasmline-scale-"));
const bytes = generatePlugins(dir, plugins, rules);
console.log(
  `${plugins} plugins of ${rules} rules, ${(bytes / 1e6).toFixed(1)} MB of YAML, ${clients} clients`,
);

for (const to of ["istio", "xds"]) {
  const began = performance.now();
  const run = startWasmline(["translate", "-f", dir, "--to", to, "-o", "json"]);
  await run.ended;
  console.log(`translate --to ${to}  ${((performance.now() - began) / 1000).toFixed(2)} s`);
}

const offset = await freePortOffset();
const flags = ["--port-offset", String(offset), "--log-level", "warn"];
const core = startWasmline(["core", "-f", dir, ...flags]);
const discovery = startWasmline(["discovery", ...flags]);
await until("discovery is ready", async () => (await get(15014 + offset, "/ready")).status === 200, 60_000);

const ads = spawn(
  process.execPath,
  [
    "--import",
    "tsx",
    new URL("ads-clients.ts", import.meta.url).pathname,
    ...[15010 + offset, clients, plugins].map(String),
  ],
  { stdio: ["pipe", "pipe", "inherit"] },
);
const lines = createInterface({ input: ads.stdout })[Symbol.asyncIterator]();
const nextLine = async () => JSON.parse((await lines.next()).value as string);
const connecting = performance.now();
const first = await nextLine();
console.log(
  `first sync of ${clients} clients  ${((performance.now() - connecting) / 1000).toFixed(2)} s, ${first.resources} resources`,
);

const roles = [core.pid, discovery.pid];
const memory = () =>
  `core ${residentMiB(core.pid).toFixed(0)} MiB, discovery ${residentMiB(discovery.pid).toFixed(0)} MiB`;
await until("memory is at rest", unchangedFor(memory, 4000), 60_000);
console.log(`resident memory at rest     ${memory()}`);
const cpuNow = () => roles.reduce((sum, pid) => sum + cpuMs(pid), 0);
const times: number[] = [];
let resources = 0;
let cpu = 0;
for (let edit = 0; edit < edits; edit++) {
  const file = join(dir, `plugin-${(edit * 37) % plugins}.yaml`);
  const text = readFileSync(file, "utf8").replace(/limit: \d+/, `limit: ${1_000_000 + edit}`);
  ads.stdin.write("\n");
  await nextLine();
  const before = cpuNow();
  const saved = performance.timeOrigin + performance.now();
  writeFileSync(file, text);
  const { lastMs, resources: received } = await nextLine();
  times.push(lastMs - saved);
  resources += received;
  // The answers of the clients are part of the cost: let the roles come to rest before reading it.
  await until("the roles are idle", unchangedFor(cpuNow, 60));
  cpu += cpuNow() - before;
}
console.log(`${edits} edits; ms from saving to the last client  ${distribution(times)}`);
console.log(`  CPU of core and discovery  ${(cpu / edits).toFixed(1)} ms for each edit`);
console.log(`  resources on the wire      ${resources / edits / clients} for each client and edit`);
console.log(`  resident memory            ${memory()}`);

ads.kill();
await Promise.all([core.stop(), discovery.stop()]);
await rm(dir, { recursive: true, force: true });

/** Whether a reading has stayed the same for a while. */
function unchangedFor<T>(read: () => T, ms: number): () => boolean {
  let last: T | undefined;
  let since = performance.now();
  return () => {
    const now = read();
    if (now !== last) since = performance.now();
    last = now;
    return performance.now() - since > ms;
  };
}
