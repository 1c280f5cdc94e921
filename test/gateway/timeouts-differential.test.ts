import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import {
  type ListenerParts,
  startEmbeddedGateway,
  startEnvoyGateway,
  type TestGateway,
} from "../peers/both-gateways.ts";
import { connectRaw } from "../peers/raw-connection.ts";
import { until } from "../peers/until.ts";
import { readAnswers } from "./raw-outcome.ts";

interface TimeoutCase extends ListenerParts {
  /** Written one after the other, each when the answer to the one before is there. */
  readonly writes: readonly string[];
  /** The connection ends without another request. */
  readonly endsItself?: boolean;
}

const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const half = "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
const head = "GET /ok HTTP/1.1\r\nHost: a\r\nX-A:";
const short = "0.3s";
const route = (fields: object) =>
  [{ match: { prefix: "/" }, route: { cluster: "up", timeout: "0s", ...fields } }] as ListenerParts["routes"];
const noLimit = route({});
const common = (fields: object) => ({ common_http_protocol_options: { ...fields } });

/** What each timeout does to a request that waits for its upstream, one whose body stops, one whose head stops, and a response that stops. */
const cases: Readonly<Record<string, TimeoutCase>> = {
  "stream_idle_timeout, waiting": {
    http: { stream_idle_timeout: short },
    routes: noLimit,
    writes: [get("/hang")],
  },
  "stream_idle_timeout, in the body": {
    http: { stream_idle_timeout: short },
    routes: noLimit,
    writes: [half],
  },
  "stream_idle_timeout, in the head": {
    http: { stream_idle_timeout: short },
    routes: noLimit,
    writes: [head],
  },
  "stream_idle_timeout, in the response": {
    http: { stream_idle_timeout: short },
    routes: noLimit,
    writes: [get("/half")],
  },
  "request_timeout, in the body": { http: { request_timeout: short }, routes: noLimit, writes: [half] },
  "request_timeout, in the head": { http: { request_timeout: short }, routes: noLimit, writes: [head] },
  request_headers_timeout: { http: { request_headers_timeout: short }, routes: noLimit, writes: [head] },
  "max_stream_duration, waiting": {
    http: common({ max_stream_duration: short }),
    routes: noLimit,
    writes: [get("/hang")],
  },
  "max_stream_duration, in the body": {
    http: common({ max_stream_duration: short }),
    routes: noLimit,
    writes: [half],
  },
  "max_stream_duration, in the response": {
    http: common({ max_stream_duration: short }),
    routes: noLimit,
    writes: [get("/half")],
  },
  "a route's idle_timeout": { routes: route({ idle_timeout: short }), writes: [get("/hang")] },
  "a route's idle_timeout in place of the connection manager's": {
    http: { stream_idle_timeout: "0.1s" },
    routes: route({ idle_timeout: "0s", timeout: "0.5s" }),
    writes: [get("/hang")],
  },
  "a route's max_stream_duration": {
    routes: route({ max_stream_duration: { max_stream_duration: short } }),
    writes: [get("/hang")],
  },
  "a route's max_stream_duration in place of the connection manager's": {
    http: common({ max_stream_duration: "0.1s" }),
    routes: route({ max_stream_duration: { max_stream_duration: "0.4s" }, timeout: "0.2s" }),
    writes: [get("/hang")],
  },
  "a gRPC timeout": {
    routes: route({ max_stream_duration: { grpc_timeout_header_max: "0s" } }),
    writes: [get("/hang", "content-type: application/grpc\r\ngrpc-timeout: 200m\r\n")],
  },
  "a gRPC timeout beyond the longest": {
    routes: route({ max_stream_duration: { grpc_timeout_header_max: short } }),
    writes: [get("/hang", "content-type: application/grpc\r\ngrpc-timeout: 1M\r\n")],
  },
  "a route's timeout": { routes: route({ timeout: short }), writes: [get("/hang")] },
  "a route's timeout, in the response": { routes: route({ timeout: short }), writes: [get("/half")] },
  "idle_timeout after a request": {
    http: { ...common({ idle_timeout: "1s" }), drain_timeout: "0.1s" },
    writes: [get("/ok")],
    endsItself: true,
  },
  "idle_timeout of a silent connection": {
    http: common({ idle_timeout: short }),
    writes: [],
    endsItself: true,
  },
  max_connection_duration: {
    http: { ...common({ max_connection_duration: "1s" }), drain_timeout: "0.1s" },
    writes: [get("/ok")],
    endsItself: true,
  },
  "max_connection_duration within a request": {
    http: { ...common({ max_connection_duration: short }), drain_timeout: "2s" },
    writes: [get("/slow")],
    // It says so in the answer; Envoy waits for a while all the same.
    endsItself: true,
  },
  max_requests_per_connection: {
    http: common({ max_requests_per_connection: 3 }),
    writes: [get("/ok"), get("/ok"), get("/ok")],
    endsItself: true,
  },
  "a client that closes": { writes: [get("/ok", "Connection: close\r\n")] },
};

const upstream = createServer((request, response) => {
  request.resume();
  if (request.url === "/half") response.write("half");
  else if (request.url === "/slow") setTimeout(() => response.end("slow"), 400);
  else if (request.url === "/ok") request.on("end", () => response.end("ok"));
});

let gateways: readonly TestGateway[];

before(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  gateways = [await startEnvoyGateway(cases, port), await startEmbeddedGateway(cases, port)];
});

after(async () => {
  for (const gateway of gateways) await gateway.stop();
  upstream.closeAllConnections();
  upstream.close();
});

async function outcome(gateway: TestGateway, name: string, { writes, endsItself }: TimeoutCase) {
  const client = await connectRaw(gateway.port(name));
  for (const [i, bytes] of writes.entries()) {
    client.write(bytes);
    await client.reads((text) => readAnswers(text).length > i || text.includes("half"));
  }
  if (!endsItself) await client.reads((text) => readAnswers(text).length >= writes.length);
  if (!endsItself && !client.isEnded()) client.write(get("/ok", "Connection: close\r\nx-probe: yes\r\n"));
  assert.ok(await client.ends(), `${gateway.name}: ${name}: the connection does not end`);
  const received = client.received();
  client.close();
  const answers = readAnswers(received);
  const isCut = received.includes("half") && !/\r\n0\r\n\r\n$/.test(received);
  return { answers, isCut };
}

async function logOf(gateway: TestGateway, name: string, count: number): Promise<readonly string[]> {
  return until<readonly string[] | undefined>(`the access log of ${gateway.name}: ${name}`, async () => {
    const own = (await gateway.log()).filter((line) => line.startsWith(`${name}:`));
    return own.length >= count ? own : undefined;
  });
}

test("what takes too long ends as in Envoy", async () => {
  const results = await Promise.all(
    Object.entries(cases).map(async ([name, each]) => {
      const [theirs, ours] = await Promise.all(gateways.map((gateway) => outcome(gateway, name, each)));
      return [name, theirs!, ours!] as const;
    }),
  );
  for (const [name, theirs, ours] of results) {
    assert.deepEqual(ours, theirs, name);
    const count = theirs.answers.length + (theirs.isCut ? 1 : 0);
    const [theirLog, ourLog] = await Promise.all(gateways.map((gateway) => logOf(gateway, name, count)));
    assert.deepEqual(ourLog, theirLog, name);
  }
});
