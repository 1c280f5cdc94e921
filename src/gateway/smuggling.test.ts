import assert from "node:assert/strict";
import { test } from "node:test";
import { readBody, runGateway, runUpstream, sendRaw } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";

/** Requests that two programs could read in two ways, or that are none: each is refused and reaches no upstream. */
const refused: Readonly<Record<string, readonly [request: string, status: number]>> = {
  "two lengths that differ": [
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    400,
  ],
  "a length and chunks": [
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  "chunked twice": [
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    400,
  ],
  "an unknown transfer-encoding": [
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  "a length with a sign": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400],
  "a list of lengths": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400],
  "a bare LF after a header": ["GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", 400],
  "a bare LF after the first line": ["GET / HTTP/1.1\nHost: a\r\n\r\n", 400],
  "a bare CR in a value": ["GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n", 400],
  "a folded header": ["GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", 400],
  "a blank before the colon": ["GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", 400],
  "a NUL in a value": ["GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n", 400],
  "no host": ["GET / HTTP/1.1\r\nX-A: b\r\n\r\n", 400],
  "two hosts": ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  "a chunk's size that is none": [
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    400,
  ],
  "a chunk that ends in LF": [
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    400,
  ],
  "a chunk's extension with a lone LF": [
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    400,
  ],
  "HTTP/1.0": ["GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426],
  "HTTP/2.5": ["GET / HTTP/2.5\r\nHost: a\r\n\r\n", 400],
  "a fragment": ["GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  "a header of more than 60 KiB": [`GET / HTTP/1.1\r\nHost: a\r\nX-A: ${"a".repeat(64 * 1024)}\r\n\r\n`, 431],
  "more than 100 headers": [
    `GET / HTTP/1.1\r\nHost: a\r\n${"X-A: b\r\n".repeat(101)}Connection: close\r\n\r\n`,
    431,
  ],
};

test("what could be read in two ways is refused", async (t) => {
  let reached: string[] = [];
  const upstream = await runUpstream(t, async (request, response) => {
    reached.push(`${request.method} ${request.url}`);
    await readBody(request).catch(() => undefined);
    response.end();
  });
  const { port } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  for (const [name, [request, status]] of Object.entries(refused)) {
    reached = [];
    const answer = await sendRaw(port, request);
    assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), `${name}: ${answer.slice(0, 200)}`);
    assert.match(answer, /\r\nconnection: close\r\n/, name);
    assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1, `${name}: ${answer}`);
  }
});

test("chunk extensions are dropped, and a request that follows is one of its own", async (t) => {
  const upstream = await runUpstream(t, async (request, response) => {
    const body = await readBody(request);
    response.end(`${request.url} ${body.toString()}\n`);
  });
  const { port } = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }));
  const answer = await sendRaw(
    port,
    "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n" +
      "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );
  assert.match(answer, /\/1 a\n/);
  assert.match(answer, /\/2 \n/);
});
