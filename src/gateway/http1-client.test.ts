import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { httpConnection } from "../../test/peers/gateway-config.ts";
import { connectRaw, type RawConnection } from "../../test/peers/raw-connection.ts";
import { until } from "../../test/peers/until.ts";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import type { DownstreamConnection, DownstreamEvents } from "./downstream.ts";
import { Http1Client } from "./http1-client.ts";
import { Http1Downstream } from "./http1-downstream.ts";
import { gatewayReply } from "./local-replies.ts";
import type { ParsedRequest } from "./request-parser.ts";

/** A request that has begun, with what its stream was told. */
interface Begun {
  readonly request: ParsedRequest;
  readonly downstream: Http1Downstream;
  readonly told: string[];
}

interface Running {
  readonly client: RawConnection;
  readonly begun: Begun[];
  /** The gateway's end of the connection. */
  readonly socket: Socket;
  count(number: number): Promise<Begun>;
}

const connection = { id: 1 } as DownstreamConnection;

/** A client's connection whose requests wait for an answer from the test, or from `answer` at once. */
async function run(t: TestContext, answer?: (downstream: Http1Downstream) => void): Promise<Running> {
  const begun: Begun[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    new Http1Client({
      socket,
      connection,
      http: () => httpConnection({}),
      isDraining: () => false,
      headTimeout: () => ({ ms: 60_000, reply: gatewayReply(408, "", "") }),
      onFault: (_, client) => client.cut(0),
      onRequest(request, client) {
        const downstream = new Http1Downstream(request, client, connection, true);
        const told: string[] = [];
        begun.push({ request, downstream, told });
        downstream.start(noting(told), new HeaderMap());
        answer?.(downstream);
      },
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = await connectRaw((server.address() as AddressInfo).port);
  t.after(() => {
    client.close();
    server.close();
  });
  return {
    client,
    begun,
    get socket() {
      return sockets[0]!;
    },
    async count(number) {
      await until(`request ${number}`, () => begun.length >= number);
      return begun[number - 1]!;
    },
  };
}

function noting(told: string[]): DownstreamEvents {
  return {
    onHeaders: (_, endOfStream) => void told.push(`headers ${endOfStream}`),
    onData: (bytes, endOfStream) => void told.push(`${Buffer.from(bytes)} ${endOfStream}`),
    onTrailers: ({ lines }) => void told.push(`trailers ${lines.join()}`),
    onDrain: () => void told.push("drain"),
    onFault: ({ status }) => void told.push(`fault ${status}`),
    onClosed: () => void told.push("closed"),
  };
}

const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const head = (...lines: HeaderLine[]) => new HeaderMap([[":status", "200"], ...lines]);
const bytes = (text: string) => Buffer.from(text, "latin1");

test("requests that came together are answered one after the other", async (t) => {
  const { client, begun, count } = await run(t);
  client.write(get("/1") + get("/2") + get("/3"));
  for (const number of [1, 2, 3]) {
    const { request, downstream } = await count(number);
    assert.equal(request.target, `/${number}`);
    assert.equal(begun.length, number);
    downstream.sendHeaders(head(["content-length", "1"]), false);
    downstream.sendData(bytes(String(number)), true);
  }
  await client.reads((text) => text.endsWith("3"));
  const answers = ["1", "2", "3"].map((body) => `HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${body}`);
  assert.equal(client.received(), answers.join(""));
});

test("requests of a client that does not read the answers are not served", async (t) => {
  const part = Buffer.alloc(64 * 1024, "x");
  const { client, begun, socket } = await run(t, (downstream) => {
    downstream.sendHeaders(head(["content-length", String(part.length)]), false);
    downstream.sendData(part, true);
  });
  client.socket.pause();
  const asked = 2000;
  client.write(get("/").repeat(asked));
  await until("the gateway waits", () => begun.length > 0 && socket.writableNeedDrain);
  assert.ok(begun.length < asked);
  assert.ok(socket.writableLength < 4 * part.length, `${socket.writableLength} bytes wait`);
  client.socket.resume();
  await until("all is answered", () => begun.length === asked);
});

test("a response leaves whole, and in parts when it takes its time", async (t) => {
  const { client, socket, count } = await run(t);
  client.write(get("/"));
  const { downstream } = await count(1);
  const writes = socket.bytesWritten;
  downstream.sendHeaders(head(), false);
  downstream.sendData(bytes("one"), false);
  assert.equal(socket.bytesWritten, writes, "it waits for the end of the turn");
  await client.reads((text) => text.endsWith("3\r\none\r\n"));
  downstream.sendData(bytes("two"), false);
  downstream.sendTrailers(new HeaderMap([["x-end", "yes"]]));
  await client.reads((text) => text.endsWith("\r\n\r\n"));
  const body = "3\r\none\r\n3\r\ntwo\r\n0\r\nx-end: yes\r\n\r\n";
  assert.equal(client.received(), `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
});

test("responses without a body have none, whatever is sent", async (t) => {
  const statuses = ["204", "304", "200"];
  const { client, count } = await run(t);
  client.write(get("/1") + get("/2") + get("/3").replace("GET", "HEAD"));
  for (const [i, status] of statuses.entries()) {
    const { downstream } = await count(i + 1);
    downstream.sendHeaders(new HeaderMap([[":status", status]]), false);
    downstream.sendData(bytes("body"), true);
  }
  await client.reads((text) => text.includes("200"));
  const answers = [
    "204 No Content",
    "304 Not Modified",
    // It says how the body of a GET would come.
    "200 OK\r\ntransfer-encoding: chunked",
  ];
  assert.equal(client.received(), answers.map((each) => `HTTP/1.1 ${each}\r\n\r\n`).join(""));
});

test("a body that is not as long as it was said to be ends the connection", async (t) => {
  for (const body of ["short", "longer than that"]) {
    const { client, count } = await run(t);
    client.write(get("/1") + get("/2"));
    const { downstream } = await count(1);
    downstream.sendHeaders(head(["content-length", "10"]), false);
    downstream.sendData(bytes(body), true);
    assert.ok(await client.ends());
    assert.ok(client.received().endsWith(body));
  }
});

test("a header that would not be read as one line is left out", async (t) => {
  const { client, count } = await run(t);
  client.write(get("/"));
  const { downstream } = await count(1);
  const values = ["a\r\nx-own: 1", "a\nb", "a\0b", "\u010ax-own: 1"];
  downstream.sendHeaders(head(...values.map((value): HeaderLine => ["x-a", value]), ["x-b", "\xe9"]), true);
  await client.reads((text) => text.endsWith("\r\n\r\n"));
  assert.equal(client.received(), "HTTP/1.1 200 OK\r\nx-b: \xe9\r\ncontent-length: 0\r\n\r\n");
});

test("a client that goes away within its request or its response is gone for the stream", async (t) => {
  for (const text of [get("/"), get("/", "Content-Length: 9\r\n")]) {
    const { client, count } = await run(t);
    client.write(text);
    const { told } = await count(1);
    client.socket.end();
    await until("the stream knows", () => told.includes("closed"));
  }
});

test("a stream that waits stops its client, and goes on", async (t) => {
  const { client, socket, count } = await run(t);
  client.write(`${get("/", "Content-Length: 6\r\n")}one`);
  const { downstream, told } = await count(1);
  downstream.setPaused(true);
  assert.ok(socket.isPaused());
  client.write(`two${get("/next")}`);
  downstream.setPaused(false);
  await until("all has come", () => told.at(-1) === "two true");
  downstream.setPaused(true);
  downstream.sendHeaders(head(), true);
  const next = await count(2);
  assert.equal(next.request.target, "/next");
  assert.ok(!socket.isPaused());
});

test("what follows a broken part of a body is not read", async (t) => {
  const { client, begun, count } = await run(t);
  client.write(`${get("/", "Transfer-Encoding: chunked\r\n")}1\r\na\r\nx\r\n${get("/smuggled")}`);
  const { downstream, told } = await count(1);
  await until("the stream knows", () => told.includes("fault 400"));
  downstream.sendHeaders(head(), true);
  assert.ok(await client.ends());
  assert.equal(begun.length, 1);
  assert.match(client.received(), /^HTTP\/1.1 200 OK\r\nconnection: close\r\n/);
});

test("without a switch of protocols nothing of the other one is read", async (t) => {
  const { client, count } = await run(t);
  client.write(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n") + get("/no-request"));
  const { downstream, told } = await count(1);
  downstream.sendHeaders(head(), true);
  assert.ok(await client.ends());
  assert.deepEqual(told.slice(0, 2), ["headers false"]);
});

test("after a switch of protocols all bytes are the other one's", async (t) => {
  const { client, count } = await run(t);
  client.write(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n") + get("/no-request"));
  const { downstream, told } = await count(1);
  assert.deepEqual(told, ["headers false"], "they wait for the switch");
  downstream.sendHeaders(new HeaderMap([[":status", "101"]]), false);
  await until("they have come", () => told.at(-1) === `${get("/no-request")} false`);
  downstream.sendData(bytes("\x81\x00"), false);
  await client.reads((text) => text.endsWith("\x81\x00"));
  assert.equal(client.received(), "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00");
  downstream.sendData(new Uint8Array(0), true);
  assert.ok(await client.ends());
});
