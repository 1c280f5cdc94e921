import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { startLongUpstream } from "../../test/peers/long-upstream.ts";
import { freePort } from "../../test/peers/ports.ts";
import { get } from "../../test/peers/request.ts";

const route = (changes: object) => [{ match: { prefix: "/" }, route: { cluster: "up", ...changes } }];

test("what the gateway answers itself is what Envoy answers", async (t) => {
  const closed = await freePort();
  const config = gatewayConfig({
    routes: [
      { match: { prefix: "/empty" }, route: { cluster: "empty" } },
      { match: { prefix: "/closed" }, route: { cluster: "closed" } },
      { match: { prefix: "/unknown" }, route: { cluster: "unknown" } },
      { match: { prefix: "/direct" }, direct_response: { status: 418, body: { inline_string: "tea" } } },
      { match: { prefix: "/redirect" }, redirect: { host_redirect: "b.com" } },
    ],
    clusters: [cluster("empty", []), cluster("closed", [closed])],
  });
  const { port } = await runGateway(t, config);
  const answer = async (path: string) => {
    const { status, body } = await get(port, path, "a.com");
    return [status, body];
  };
  assert.deepEqual(await answer("/nowhere"), [404, ""]);
  assert.deepEqual(await answer("/empty"), [503, "no healthy upstream"]);
  assert.deepEqual(await answer("/unknown"), [503, ""]);
  assert.deepEqual(await answer("/direct"), [418, "tea"]);
  assert.deepEqual(await answer("/closed"), [
    503,
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
  ]);
  const redirect = await get(port, "/redirect", "a.com");
  assert.deepEqual([redirect.status, redirect.headers.location], [301, "http://b.com/redirect"]);
});

test("an upstream that takes too long is a 504, one that breaks off a 503, one that is no HTTP a 502", async (t) => {
  const odd = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes) => {
      const path = bytes.toString().split(" ")[1];
      if (path === "/break") socket.destroy();
      if (path === "/noise") socket.end("HTTP/1.1 200 OK\nx: y\r\n\r\n");
    });
  });
  odd.listen(0, "127.0.0.1");
  await once(odd, "listening");
  t.after(() => odd.close());
  const up = cluster("up", [(odd.address() as AddressInfo).port]);
  const { port } = await runGateway(t, gatewayConfig({ routes: route({ timeout: "0.2s" }), clusters: [up] }));
  const late = await get(port, "/late", "a.com");
  assert.deepEqual([late.status, late.body], [504, "upstream request timeout"]);
  const broken = await get(port, "/break", "a.com");
  const text = "upstream connect error or disconnect/reset before headers. reset reason:";
  assert.deepEqual([broken.status, broken.body], [503, `${text} connection termination`]);
  const noise = await get(port, "/noise", "a.com");
  assert.deepEqual([noise.status, noise.body], [502, `${text} protocol error`]);
});

test("retries go by the route's policy, with the body", async (t) => {
  let tries = 0;
  const upstream = await runUpstream(t, (received, response) => {
    tries++;
    let body = "";
    received.on("data", (bytes) => {
      body += bytes;
    });
    received.on("end", () => {
      response.statusCode = tries < 3 ? 503 : 200;
      response.end(`${tries} ${body}`);
    });
  });
  const config = gatewayConfig({
    routes: route({ retry_policy: { retry_on: "5xx", num_retries: 2 } }),
    clusters: [cluster("up", [upstream.port])],
  });
  const { port } = await runGateway(t, config);
  const sent = request({ port, host: "127.0.0.1", method: "POST" });
  sent.end("body");
  const [response] = await once(sent, "response");
  assert.equal(response.statusCode, 200);
  response.setEncoding("latin1");
  const [text] = await once(response, "data");
  assert.equal(text, "3 body");
});

test("a WebSocket goes through, both ways", async (t) => {
  const upstream = await startLongUpstream();
  t.after(() => upstream.close());
  const { port } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  let received = "";
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
  });
  while (!received.includes("\r\n\r\n")) await once(socket, "data");
  assert.match(received, /^HTTP\/1.1 101 Switching Protocols\r\n/);
  assert.match(received, /\r\nupgrade: websocket\r\n/);
  received = "";
  socket.write("ping");
  while (received !== "ping") await once(socket, "data");
});
