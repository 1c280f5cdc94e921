// What the proxy-wasm host costs. `node --expose-gc --import tsx bench/host.ts MODULE [CONFIGURATION]` runs streams with 12
// request and 5 response headers through a plugin, and the same without it.
import { readFile } from "node:fs/promises";
import { createLocalOutside, createPluginHost, type FilterFactory } from "../src/proxy-wasm/index.ts";
import { leastCost, runStreams } from "./sample-streams.ts";

const [file = "build/plugins/key-auth.wasm", configuration = ""] = process.argv.slice(2);
const perRound = 20_000;
const rounds = 15;

function measure(filters: readonly FilterFactory[]): number {
  runStreams(filters, perRound);
  return leastCost(filters, rounds, perRound);
}

/** Tells how long something took. */
function startClock(): () => string {
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return `${(performance.now() - began).toFixed(1)} ms (CPU ${((user + system) / 1000).toFixed(1)})`;
  };
}

const host = createPluginHost(createLocalOutside());
const bytes = await readFile(file);
const compiling = startClock();
const module = await host.compile(bytes, file);
const compiled = compiling();
const starting = startClock();
const plugin = host.start({ name: "bench", module, configuration });
console.log(`${file}: ${(bytes.length / 1e6).toFixed(1)} MB, compile ${compiled}, start ${starting()}`);
const empty = measure([]);
const one = measure([plugin]);
const three = measure([plugin, plugin, plugin]);
console.log(
  `ns of CPU a stream: no plugin ${empty.toFixed(0)}, one ${one.toFixed(0)} (+${(one - empty).toFixed(0)}), ` +
    `three ${three.toFixed(0)} (+${((three - empty) / 3).toFixed(0)} each)`,
);
globalThis.gc?.();
const before = process.memoryUsage();
for (let i = 0; i < 10; i++) runStreams([plugin], 100_000);
globalThis.gc?.();
const after = process.memoryUsage();
const mib = (value: number) => (value / 2 ** 20).toFixed(1);
console.log(
  `after 1,000,000 streams: heap ${mib(before.heapUsed)} → ${mib(after.heapUsed)} MiB, ` +
    `buffers ${mib(before.arrayBuffers)} → ${mib(after.arrayBuffers)} MiB, guest ${mib(plugin.status().memoryBytes)} MiB, ` +
    `resident ${mib(before.rss)} → ${mib(after.rss)} MiB`,
);
