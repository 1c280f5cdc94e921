import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { type TestContext, test } from "node:test";
import { readBody, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, type GatewayParts, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { flags, frame, frameTypes, headerBlock, preface, settings } from "../../test/peers/http2-frames.ts";
import { connectRaw } from "../../test/peers/raw-connection.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";

const mib = 1024 * 1024;

async function runSession(
  t: TestContext,
  upstreamPort: number,
  http: GatewayParts["http"] = {},
): Promise<ClientHttp2Session> {
  const up = cluster("up", [upstreamPort], { enableTrailers: true });
  const config = gatewayConfig({ clusters: [up], http: http ?? {} });
  const { port } = await runGateway(t, config);
  const session = connect(`http://127.0.0.1:${port}`);
  t.after(() => session.destroy());
  await once(session, "remoteSettings");
  return session;
}

async function readStream(stream: ClientHttp2Stream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

test("WebSocket runs over extended CONNECT, where that is allowed", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end());
  upstream.server.on("upgrade", (request, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${request.headers.upgrade}\r\nconnection: upgrade\r\n\r\n`,
    );
    socket.write(`${request.method} ${request.url} `);
    socket.pipe(socket);
  });
  const session = await runSession(t, upstream.port, { allowConnect: true });
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const lines = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":path": "/chat",
    ":authority": "a",
  };
  const stream = session.request(lines, { endStream: false });
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 200);
  assert.equal(headers.upgrade, undefined);
  let received = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    received += text;
  });
  stream.write("hello");
  await until("the echo", () => received === "GET /chat hello");
  stream.end();
  await once(stream, "close");
});

test("gRPC with a path that is refused is answered as gRPC", async (t) => {
  const session = await runSession(t, 1);
  const stream = session.request({ ":method": "POST", ":path": "/a#b", "content-type": "application/grpc" });
  const [headers] = await once(stream, "response");
  assert.deepEqual([headers[":status"], headers["grpc-status"]], [200, "13"]);
});

test("bodies and trailers pass over many streams of a connection", async (t) => {
  const upstream = await runUpstream(t, async (request, response) => {
    const body = await readBody(request);
    response.writeHead(200, { trailer: "x-sum" });
    response.write(body);
    response.addTrailers({ "x-sum": String(body.length) });
    response.end();
  });
  const session = await runSession(t, upstream.port);
  const results = Array.from({ length: 50 }, async (_, i) => {
    const stream = session.request({ ":method": "POST", ":path": "/" });
    const trailers = once(stream, "trailers");
    stream.end(Buffer.alloc(i * 1000, i));
    const body = await readStream(stream);
    assert.deepEqual([body.length, (await trailers)[0]["x-sum"]], [i * 1000, String(i * 1000)]);
    assert.equal(stream.rstCode, 0);
  });
  await Promise.all(results);
});

test("a reader that waits holds up its own stream, and no other", async (t) => {
  let sent = 0;
  const upstream = await runUpstream(t, (request, response) => {
    if (request.url === "/small") response.end("small");
    else {
      const part = Buffer.alloc(64 * 1024);
      const write = () => {
        while (!response.destroyed && response.write(part)) sent += part.length;
      };
      response.on("drain", write);
      write();
    }
  });
  const session = await runSession(t, upstream.port);
  const slow = session.request({ ":path": "/endless" });
  await once(slow, "response");
  slow.pause();
  let before = -1;
  await until("the upstream waits", async () => {
    const isSame = sent === before;
    before = sent;
    assert.equal((await readStream(session.request({ ":path": "/small" }))).toString(), "small");
    return isSame && sent === before;
  });
  assert.ok(sent < 64 * mib, `${sent} bytes went to a client that reads nothing`);
  slow.close();
});

test("a listener for HTTP/2 answers nobody else, and one for HTTP/1 reads no preface", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end());
  const parts = { clusters: [cluster("up", [upstream.port])] };
  const http2 = await runGateway(t, gatewayConfig({ ...parts, http: { codec: "http2" } }));
  await assert.rejects(get(http2.port));
  const http1 = await runGateway(t, gatewayConfig({ ...parts, http: { codec: "http1" } }));
  const client = await connectRaw(http1.port);
  client.write(preface);
  assert.ok(await client.ends());
  assert.match(client.received(), /^HTTP\/1.1 4/);
});

test("a flood of resets leaves a gateway that answers others", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const { port, gateway } = await runGateway(
    t,
    gatewayConfig({ clusters: [cluster("up", [upstream.port])] }),
  );
  const block = headerBlock([
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "a"],
    [":path", "/"],
  ]);
  const requests = Array.from({ length: 20_000 }, (_, i) => {
    const stream = 2 * i + 1;
    const headers = frame(frameTypes.headers, flags.endHeaders | flags.endStream, stream, block);
    return Buffer.concat([headers, frame(frameTypes.resetStream, 0, stream, Buffer.from([0, 0, 0, 8]))]);
  });
  const flood = await connectRaw(port);
  flood.write(Buffer.concat([preface, settings(), ...requests]));
  assert.equal((await get(port)).body, "ok");
  await flood.reads((text) => text.includes("\x07"));
  flood.close();
  await until("the upstream is free", () => gateway.clusters.find("up")?.use.requests === 0);
});
