import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readBody, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { createStores, type HttpAnswer, LogLevel } from "../proxy-wasm/index.ts";
import { parseFormat } from "./format.ts";
import type { JsonFormat } from "./gateway-config.ts";
import { createGatewayOutside } from "./gateway-outside.ts";

test("a plugin's HTTP call goes over a cluster; without one it does not begin", async (t) => {
  const upstream = await runUpstream(t, async (request, response) => {
    response.end(`${request.method} ${request.url} ${request.headers.host} ${await readBody(request)}`);
  });
  const { gateway } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  const ended = new AbortController();
  t.after(() => ended.abort());
  const outside = createGatewayOutside({
    clusters: gateway.clusters,
    stores: createStores(),
    log: silentLog,
    logLevel: () => LogLevel.Info,
    signal: ended.signal,
  });
  const call = (name: string, done: (answer: HttpAnswer | undefined) => void) =>
    outside.httpCall(
      {
        upstream: name,
        headers: [
          [":method", "POST"],
          [":path", "/x"],
          [":authority", "a.com"],
        ],
        body: Buffer.from("body"),
        trailers: [],
        timeoutMs: 5000,
      },
      done,
    );
  const answer = await new Promise<HttpAnswer | undefined>((resolve) => void call("up", resolve));
  assert.deepEqual(answer?.headers[0], [":status", "200"]);
  assert.equal(Buffer.from(answer!.body).toString(), "POST /x a.com body");
  assert.equal(
    call("down", () => {}),
    "unknown-upstream",
  );
});

test("the access log has a line for each stream, as text and as JSON", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "gateway-log-"));
  t.after(() => rm(directory, { recursive: true }));
  const [text, json] = [join(directory, "text"), join(directory, "json")];
  const upstream = await runUpstream(t, (_, response) => response.end("hello"));
  const fields: JsonFormat = {
    code: { kind: "format", format: parseFormat("%RESPONSE_CODE%") },
    none: { kind: "format", format: parseFormat("%REQ(X-NO)%") },
    fixed: { kind: "literal", value: "yes" },
  };
  const line =
    "%REQ(:METHOD)% %REQ(X-NO?:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT% %UPSTREAM_CLUSTER%\n";
  const accessLogs = [
    { to: { kind: "file", path: text }, format: { kind: "text", format: parseFormat(line) }, missing: "-" },
    { to: { kind: "file", path: json }, format: { kind: "json", fields }, missing: "-" },
  ] as const;
  const config = gatewayConfig({
    routes: [{ match: { prefix: "/up" }, route: { cluster: "up" } }],
    clusters: [cluster("up", [upstream.port])],
    http: { accessLogs },
  });
  const { port } = await runGateway(t, config);
  await get(port, "/up?a", "a.com");
  await get(port, "/none", "a.com");
  const lines = async (file: string) => (await readFile(file, "latin1")).split("\n").slice(0, -1);
  await until("both lines", async () => (await lines(text)).length === 2 && (await lines(json)).length === 2);
  assert.deepEqual(await lines(text), ["GET /up?a 200 - 5 up", "GET /none 404 NR 0 -"]);
  assert.deepEqual(
    (await lines(json)).map((each) => JSON.parse(each)),
    [
      { code: 200, fixed: "yes", none: null },
      { code: 404, fixed: "yes", none: null },
    ],
  );
});
