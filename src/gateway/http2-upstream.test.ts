import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeCertificate } from "../../test/peers/certificate.ts";
import { runGateway } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig, httpConnection } from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";
import type { Cluster } from "./cluster-config.ts";
import type { DownstreamTls } from "./gateway-config.ts";

type Answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

async function runHttp2Upstream(context: TestContext, answer: Answer) {
  const server: Http2Server = createServer({ settings: { enableConnectProtocol: true } });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("session", (session) => session.on("error", () => {}));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    answer(stream, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

const over = (port: number, changes: Partial<Cluster> = {}) =>
  gatewayConfig({ clusters: [cluster("up", [port], { protocol: "http2", ...changes })] });

/** A client over HTTP/2 of a gateway with a certificate. */
async function connectToGateway(context: TestContext, up: Cluster): Promise<ClientHttp2Session> {
  const directory = mkdtempSync(join(tmpdir(), "gateway-http2-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const files = makeCertificate(directory, "gateway");
  const [chain, privateKey] = [readFileSync(files.certificate), readFileSync(files.key)];
  const tls: DownstreamTls = {
    certificateNames: [],
    certificates: [{ kind: "certificate", chain, privateKey, password: undefined }],
    validation: undefined,
    requireClientCertificate: false,
    alpn: ["h2"],
    minVersion: undefined,
    maxVersion: undefined,
    cipherSuites: [],
  };
  const chains = [{ name: "", serverNames: [], transportProtocol: "tls", tls, http: httpConnection({}) }];
  const { port } = await runGateway(context, gatewayConfig({ clusters: [up], listener: { chains } }));
  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    servername: "a.com",
    rejectUnauthorized: false,
  });
  context.after(() => session.destroy());
  return session;
}

const mib = 1024 * 1024;

test("a large body streams both ways over HTTP/2, and a reader that waits holds up the writer", async (t) => {
  let sent = 0;
  const upstream = await runHttp2Upstream(t, (stream, headers) => {
    stream.respond({ ":status": 200 });
    if (headers[":path"] === "/echo") {
      stream.pipe(stream);
      return;
    }
    const part = Buffer.alloc(64 * 1024);
    const write = () => {
      let isRoom = true;
      while (!stream.destroyed && isRoom) {
        isRoom = stream.write(part);
        sent += part.length;
      }
    };
    stream.on("drain", write);
    write();
  });
  const { port } = await runGateway(t, over(upstream.port));
  const echo = request({ port, host: "127.0.0.1", method: "POST", path: "/echo" });
  const [hashIn, hashOut] = [createHash("sha256"), createHash("sha256")];
  const answered = once(echo, "response").then(async ([response]) => {
    let size = 0;
    for await (const part of response) {
      hashOut.update(part);
      size += part.length;
    }
    return size;
  });
  for (let i = 0; i < 16; i++) {
    const part = Buffer.alloc(mib, i);
    hashIn.update(part);
    if (!echo.write(part)) await once(echo, "drain");
  }
  echo.end();
  assert.equal(await answered, 16 * mib);
  assert.equal(hashOut.digest("hex"), hashIn.digest("hex"));

  const slow = request({ port, host: "127.0.0.1", path: "/endless" }).end();
  const [response] = await once(slow, "response");
  response.pause();
  let before = -1;
  await until("the upstream waits", async () => {
    const same = sent === before && sent > 0;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return same;
  });
  assert.ok(sent < 24 * mib, `${sent} bytes were taken from the upstream`);
  slow.destroy();
});

test("trailers pass both ways over HTTP/2, and so do values that are no ASCII", async (t) => {
  const upstream = await runHttp2Upstream(t, (stream, headers) => {
    let trailers: IncomingHttpHeaders = {};
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.resume().on("end", () => {
      stream.respond({ ":status": 200, "x-echo": headers["x-text"] }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-out": `${trailers["x-in"]} back` }));
      stream.end("body");
    });
  });
  const session = await connectToGateway(t, cluster("up", [upstream.port], { protocol: "http2" }));
  const text = Buffer.from("grün").toString("latin1");
  const stream = session.request(
    { ":method": "POST", ":path": "/", ":authority": "a.com", "x-text": text },
    { waitForTrailers: true },
  );
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-in": "in" }));
  const trailers = once(stream, "trailers");
  stream.end("request");
  const [headers] = await once(stream, "response");
  assert.equal(headers["x-echo"], text);
  let body = "";
  for await (const part of stream) body += part;
  assert.equal(body, "body");
  assert.equal((await trailers)[0]["x-out"], "in back");
});

test("an upgrade becomes an extended CONNECT", async (t) => {
  const upstream = await runHttp2Upstream(t, (stream, headers) => {
    assert.equal(headers[":method"], "CONNECT");
    assert.equal(headers[":protocol"], "websocket");
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  const { port } = await runGateway(t, over(upstream.port));
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  socket.write("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await until("the switch", () => received.includes("\r\n\r\n"));
  assert.match(received, /^HTTP\/1.1 101 Switching Protocols\r\n/);
  assert.match(received, /\r\nupgrade: websocket\r\n/);
  socket.write("ping");
  await until("the echo", () => received.endsWith("ping"));
  socket.destroy();
});

test("requests share a connection as far as streams may be open, and a connection that goes away is replaced", async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const upstream = await runHttp2Upstream(t, (stream) => waiting.push(stream));
  const { port } = await runGateway(t, over(upstream.port, { maxConcurrentStreams: 2 }));
  const answers = Array.from({ length: 3 }, () => get(port, "/", "a.com"));
  await until("three requests", () => waiting.length === 3);
  assert.equal(upstream.sockets.size, 2);
  waiting[0]!.session!.goaway();
  for (const stream of waiting.splice(0)) {
    stream.respond({ ":status": 200 });
    stream.end("fine");
  }
  for (const { body } of await Promise.all(answers)) assert.equal(body, "fine");
  const after = Array.from({ length: 2 }, () => get(port, "/", "a.com"));
  await until("two requests", () => waiting.length === 2);
  for (const stream of waiting.splice(0)) stream.respond({ ":status": 204 }, { endStream: true });
  for (const { status } of await Promise.all(after)) assert.equal(status, 204);
});

test("a client that goes away resets the stream of its request", async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const upstream = await runHttp2Upstream(t, (stream) => waiting.push(stream));
  const gateway = await runGateway(t, over(upstream.port));
  const sent = request({ port: gateway.port, host: "127.0.0.1" });
  sent.on("error", () => {});
  sent.end();
  await until("the request", () => waiting.length === 1);
  sent.destroy();
  await until("the reset", () => waiting[0]!.rstCode === 8);
  const { use } = gateway.gateway.clusters.find("up")!;
  await until("nothing in use", () => use.requests === 0);
});

test("a cluster that goes by the client's protocol speaks it", async (t) => {
  const upstream = await runHttp2Upstream(t, (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("http2");
  });
  const up = cluster("up", [upstream.port], { protocol: "downstream" });
  const session = await connectToGateway(t, up);
  const stream = session.request({ ":path": "/", ":authority": "a.com" });
  let body = "";
  for await (const part of stream) body += part;
  assert.equal(body, "http2");
  // Of HTTP/1 the upstream knows nothing.
  const { port } = await runGateway(t, gatewayConfig({ clusters: [up] }));
  assert.equal((await get(port, "/", "a.com")).status, 502);
});
