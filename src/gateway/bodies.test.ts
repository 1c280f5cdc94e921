import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import { test } from "node:test";
import { readBody, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { until } from "../../test/peers/until.ts";

const mib = 1024 * 1024;

test("a large body streams both ways, and a reader that waits holds up the writer", async (t) => {
  let stopped = false;
  let sent = 0;
  const upstream = await runUpstream(t, (received, response) => {
    if (received.url !== "/endless") {
      received.pipe(response);
      return;
    }
    const part = Buffer.alloc(64 * 1024);
    const write = () => {
      while (!stopped && response.write(part)) sent += part.length;
    };
    response.on("drain", write);
    response.on("close", () => {
      stopped = true;
    });
    write();
  });
  const { port } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));

  const echo = request({ port, host: "127.0.0.1", method: "POST", path: "/echo" });
  const [hashIn, hashOut] = [createHash("sha256"), createHash("sha256")];
  const answered = new Promise<number>((resolve, reject) => {
    echo.on("error", reject);
    echo.on("response", async (response: IncomingMessage) => {
      let size = 0;
      for await (const part of response) {
        hashOut.update(part);
        size += part.length;
      }
      resolve(size);
    });
  });
  for (let i = 0; i < 64; i++) {
    const part = Buffer.alloc(mib, i);
    hashIn.update(part);
    if (!echo.write(part)) await new Promise((resolve) => echo.once("drain", resolve));
  }
  echo.end();
  assert.equal(await answered, 64 * mib);
  assert.equal(hashOut.digest("hex"), hashIn.digest("hex"));

  const slow = request({ port, host: "127.0.0.1", path: "/endless" });
  slow.end();
  const response = await new Promise<IncomingMessage>((resolve) => slow.once("response", resolve));
  response.pause();
  let before = -1;
  // What the sockets take is taken; then nothing comes any more.
  await until("the upstream waits", async () => {
    const same = sent === before;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return same && sent === before;
  });
  assert.ok(sent < 64 * mib, `${sent} bytes went to a client that reads nothing`);
  slow.destroy();
  await until("the upstream hears of it", () => stopped);
});

test("the head of a response does not wait for its body", async (t) => {
  let goOn = () => {};
  const upstream = await runUpstream(t, (_received, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    goOn = () => response.end("data: late\n\n");
  });
  const { port } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  const events = request({ port, host: "127.0.0.1", path: "/events" });
  events.end();
  const response = await new Promise<IncomingMessage>((resolve) => events.once("response", resolve));
  assert.equal(response.headers["content-type"], "text/event-stream");
  goOn();
  assert.equal(String(await readBody(response)), "data: late\n\n");
});

test("trailers pass in both directions, and 100-continue is answered", async (t) => {
  const upstream = await runUpstream(t, async (received, response) => {
    const body = await readBody(received);
    response.writeHead(200, { trailer: "x-sum", "x-expect": String(received.headers.expect) });
    response.write(body);
    response.addTrailers({ "x-sum": `${body.length} ${received.trailers["x-in"]}` });
    response.end();
  });
  const { port } = await runGateway(
    t,
    gatewayConfig({
      clusters: [cluster("up", [upstream.port], { enableTrailers: true })],
      http: { enableTrailers: true },
    }),
  );
  const sent = request({
    port,
    host: "127.0.0.1",
    method: "POST",
    headers: { expect: "100-continue", trailer: "x-in", "transfer-encoding": "chunked" },
  });
  sent.flushHeaders();
  await new Promise((resolve) => sent.once("continue", resolve));
  sent.write("hello");
  sent.addTrailers({ "x-in": "in" });
  sent.end();
  const response = await new Promise<IncomingMessage>((resolve) => sent.once("response", resolve));
  assert.equal((await readBody(response)).toString(), "hello");
  assert.equal(response.headers["x-expect"], "undefined");
  assert.equal(response.trailers["x-sum"], "5 in");
});
