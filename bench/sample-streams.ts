import {
  FilterChain,
  type FilterFactory,
  type HeaderLine,
  HeaderMap,
  type StreamHost,
} from "../src/proxy-wasm/index.ts";

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
/** A stream of which nobody gets anything. */
export const nowhere: StreamHost = {
  sendHeaders() {},
  sendData() {},
  sendTrailers() {},
  reset() {},
  setPaused() {},
  clearRouteCache() {},
  property: (path) => (path.join(".") === "request.duration" ? duration : undefined),
};

/** Runs streams with 12 request and 5 response headers through filters, one after the other. */
export function runStreams(filters: readonly FilterFactory[], count: number): void {
  for (let i = 0; i < count; i++) {
    const chain = new FilterChain(filters, nowhere);
    chain.requestHeaders(new HeaderMap(request.slice()), true);
    chain.responseHeaders(new HeaderMap(response.slice()), true);
    chain.end();
  }
}

/** The least CPU time of a stream over some rounds, in ns: what else the machine does only adds to it. */
export function leastCost(filters: readonly FilterFactory[], rounds: number, perRound: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    runStreams(filters, perRound);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / perRound);
  }
  return least;
}
