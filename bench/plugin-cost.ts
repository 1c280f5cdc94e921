import { readFile } from "node:fs/promises";
import {
  createLocalOutside,
  createPluginHost,
  FilterChain,
  type FilterFactory,
  type HeaderLine,
  HeaderMap,
  LogLevel,
  type StreamHost,
} from "../src/proxy-wasm/index.ts";

/** What one plugin costs in the gateway's host. */
export interface PluginCost {
  /** CPU of a stream, without what a stream costs that has no plugin. */
  readonly nsPerStream: number;
  /** Memory of the VM after all streams. */
  readonly memoryBytes: number;
  readonly moduleBytes: number;
}

/** A module and how it is configured. */
export interface MeasuredModule {
  readonly file: string;
  readonly configuration: string;
  /** Called often enough before measuring, V8 has made its functions fast: Go's are many. */
  readonly warmStreams: number;
}

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
  ["x-api-key", "secret"],
];
const response: HeaderLine[] = [
  [":status", "200"],
  ["content-type", "application/json"],
  ["content-length", "2"],
  ["date", "Mon, 01 Jan 2026 00:00:00 GMT"],
  ["server", "upstream"],
];

const duration = new Uint8Array(new BigUint64Array([1_500_000n]).buffer);
const nowhere: StreamHost = {
  sendHeaders() {},
  sendData() {},
  sendTrailers() {},
  reset() {},
  setPaused() {},
  clearRouteCache() {},
  property: (path) => (path.join(".") === "request.duration" ? duration : undefined),
};

function runStreams(filters: readonly FilterFactory[], count: number): void {
  for (let i = 0; i < count; i++) {
    const chain = new FilterChain(filters, nowhere);
    chain.requestHeaders(new HeaderMap(request.slice()), true);
    chain.responseHeaders(new HeaderMap(response.slice()), true);
    chain.end();
  }
}

/** The least CPU time of a stream over some rounds, in ns: what else the machine does only adds to it. */
function leastCost(filters: readonly FilterFactory[], rounds: number, perRound: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    runStreams(filters, perRound);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / perRound);
  }
  return least;
}

/** Runs streams with 12 request and 5 response headers through a module; lines that it logs at level info are taken and dropped. */
export async function measureModule(
  { file, configuration, warmStreams }: MeasuredModule,
  rounds: number,
): Promise<PluginCost> {
  const host = createPluginHost(createLocalOutside({ log() {}, logLevel: LogLevel.Info }));
  const bytes = await readFile(file);
  const module = await host.compile(bytes, file);
  const plugin = host.start({ name: "bench", module, configuration });
  if (plugin.status().state !== "running")
    throw new Error(`${file} does not run: ${JSON.stringify(plugin.status())}`);
  const perRound = 5000;
  runStreams([], 20_000);
  const empty = leastCost([], rounds, 20_000);
  runStreams([plugin], warmStreams);
  const nsPerStream = leastCost([plugin], rounds, perRound) - empty;
  return { nsPerStream, memoryBytes: plugin.status().memoryBytes, moduleBytes: bytes.length };
}
