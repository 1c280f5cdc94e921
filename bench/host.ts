// What the proxy-wasm host costs. `node --expose-gc --import tsx bench/host.ts MODULE [CONFIGURATION]` runs streams with 12
// request and 5 response headers through a plugin, and the same without it.
import { readFile } from "node:fs/promises";
import {
  createLocalOutside,
  createPluginHost,
  FilterChain,
  type FilterFactory,
  type HeaderLine,
  HeaderMap,
  type StreamHost,
} from "../src/proxy-wasm/index.ts";

const [file = "build/plugins/key-auth.wasm", configuration = ""] = process.argv.slice(2);
const perRound = 20_000;
const rounds = 15;

const request: HeaderLine[] = [
  [":authority", "foo.example.com"],
  [":path", "/api/v1/items?page=3"],
  [":method", "GET"],
  [":scheme", "https"],
  ["user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"],
  ["accept", "text/html,application/xhtml+xml"],
  ["accept-encoding", "gzip, deflate, br"],
  ["accept-language", "en-US,en;q=0.5"],
  ["x-request-id", "6f1d0f6e-8ce1-4bb0-a2c8-6ea7b74be6e1"],
  ["x-forwarded-for", "10.0.0.1"],
  ["x-forwarded-proto", "https"],
  ["cookie", "session=0123456789abcdef"],
];
const response: HeaderLine[] = [
  [":status", "200"],
  ["content-type", "application/json"],
  ["content-length", "2"],
  ["date", "Mon, 01 Jan 2026 00:00:00 GMT"],
  ["server", "upstream"],
];

const nowhere: StreamHost = {
  sendHeaders() {},
  sendData() {},
  sendTrailers() {},
  reset() {},
  setPaused() {},
  clearRouteCache() {},
  property: () => undefined,
};

function runStreams(filters: readonly FilterFactory[], count: number): void {
  for (let i = 0; i < count; i++) {
    const chain = new FilterChain(filters, nowhere);
    chain.requestHeaders(new HeaderMap(request.slice()), true);
    chain.responseHeaders(new HeaderMap(response.slice()), true);
    chain.end();
  }
}

/** The least CPU time of a stream over some rounds, in ns. */
function measure(filters: readonly FilterFactory[]): number {
  let least = Number.POSITIVE_INFINITY;
  runStreams(filters, perRound);
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    runStreams(filters, perRound);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / perRound);
  }
  return least;
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
