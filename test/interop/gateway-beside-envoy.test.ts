import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { runGateway, sendRaw } from "../peers/gateway.ts";
import { cluster, gatewayConfig } from "../peers/gateway-config.ts";
import { requirePeers } from "../peers/peers.ts";
import { freePort } from "../peers/ports.ts";
import { startProgram } from "../peers/program.ts";
import { staticEnvoy } from "../peers/static-envoy.ts";
import { until } from "../peers/until.ts";

const routes: JsonValue = [
  { match: { prefix: "/direct" }, direct_response: { status: 404, body: { inline_string: "no" } } },
  { match: { prefix: "/" }, route: { cluster: "up", prefix_rewrite: "/" } },
];
const close = "Connection: close\r\n\r\n";

/** Each ends its connection. What comes back, and what the upstream gets, is the same to the byte. */
const requests: Readonly<Record<string, string>> = {
  "headers that are there already": `GET /a/../b?x HTTP/1.1\r\nHost: a\r\nX-Foo: 1\r\nX-Request-Id: zz\r\nX-Forwarded-For: 1.2.3.4\r\nAccept: */*\r\n${close}`,
  "a body of no length": `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n${close}`,
  "a chunked body": `POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${close}3\r\nabc\r\n0\r\n\r\n`,
  "a direct response": `GET /direct HTTP/1.1\r\nHost: a\r\n${close}`,
  "a whole URL": `GET http://b.com/x HTTP/1.1\r\nHost: a\r\n${close}`,
  "no host": "GET / HTTP/1.1\r\n\r\n",
  "HTTP/1.0": "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
  "a fragment": "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
  "two lengths": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
  "too long a header": `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${"a".repeat(64 * 1024)}\r\n\r\n`,
  "another protocol": "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
};

test("the gateway answers, and asks upstreams, as Envoy does", async (t) => {
  const { envoy: envoyPath } = await requirePeers();
  const directory = await mkdtemp(join(tmpdir(), "gateway-beside-envoy-"));
  t.after(() => rm(directory, { recursive: true }));
  let seen = "";
  const upstream = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      seen += bytes.toString("latin1");
      const isWhole = !/chunked/.test(seen) || seen.endsWith("0\r\n\r\n");
      if (isWhole) socket.write("HTTP/1.1 200 OK\r\nServer: up\r\nContent-Length: 3\r\nX-B: 1\r\n\r\nabc");
    });
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  t.after(() => upstream.close());
  const upstreamPort = (upstream.address() as AddressInfo).port;
  const envoyPort = await freePort();
  const file = join(directory, "envoy.json");
  await writeFile(file, staticEnvoy({ port: envoyPort, upstreamPort, routes }));
  const envoy = startProgram(envoyPath, [
    ...["-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "critical"],
  ]);
  t.after(() => envoy.stop());
  await until("Envoy answers", () => sendRaw(envoyPort, `GET /direct HTTP/1.1\r\nHost: a\r\n${close}`));
  const { port } = await runGateway(t, gatewayConfig({ routes, clusters: [cluster("up", [upstreamPort])] }));
  const exchange = async (at: number, request: string) => {
    seen = "";
    const answer = await sendRaw(at, request);
    return { answer: withoutChance(answer), upstream: withoutChance(seen) };
  };
  for (const [name, request] of Object.entries(requests))
    assert.deepEqual(await exchange(port, request), await exchange(envoyPort, request), name);
});

/** Without what differs from one request to the next. */
function withoutChance(text: string): string {
  return text
    .replace(/date: .*/, "date: -")
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "UUID")
    .replace(/service-time: \d+/, "service-time: -");
}
