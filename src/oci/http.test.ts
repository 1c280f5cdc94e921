import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { type HttpRequest, sendRequest } from "./http.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  }
});

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

function send(url: URL, options: Partial<HttpRequest> = {}) {
  return sendRequest({ url, doing: "testing", maxBytes: 1000, backoffMs: 1, ...options });
}

function refusal(code: SystemErrorCode, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test("Authorization stays with its origin and goes to no other, also not on the way back", async () => {
  const seen: (readonly [string, string | undefined])[] = [];
  const note = (name: string, { authorization }: IncomingHttpHeaders) => seen.push([name, authorization]);
  const other: URL = await serve((request, response) => {
    note("other", request.headers);
    response.writeHead(302, { location: new URL("/end", first).href }).end();
  });
  const first: URL = await serve((request, response) => {
    note(request.url ?? "", request.headers);
    if (request.url === "/end") return void response.end("done");
    response.writeHead(307, { location: request.url === "/" ? "/second" : other.href }).end();
  });
  const answer = await send(first, { headers: { Authorization: "Basic secret", accept: "a/b" } });
  assert.equal(Buffer.from(answer.body).toString(), "done");
  assert.deepEqual(seen, [
    ["/", "Basic secret"],
    ["/second", "Basic secret"],
    ["other", undefined],
    ["/end", undefined],
  ]);
});

test("redirects end", async () => {
  let requests = 0;
  const url = await serve((_, response) => {
    requests++;
    response.writeHead(301, { location: "/" }).end();
  });
  await assert.rejects(send(url), refusal("network", /more than 5 redirects/));
  assert.equal(requests, 6);
});

test("of a redirect that leads to nobody, it is nobody that is named", async () => {
  const url = await serve(
    (_, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  );
  await assert.rejects(send(url, { maxAttempts: 1 }), refusal("network", /no connection to 127\.0\.0\.1:1:/));
});

test("redirects to what is not HTTP are not followed", async () => {
  const url = await serve(
    (_, response) => void response.writeHead(302, { location: "file:///etc/passwd" }).end(),
  );
  await assert.rejects(send(url), refusal("network", /redirects to a file:\/\/ URL; expected https/));
});

test("passing failures are tried again, as often as allowed", async () => {
  const statuses = [503, 500, 200];
  const url = await serve((_, response) => void response.writeHead(statuses.shift() ?? 599).end());
  assert.equal((await send(url, { maxAttempts: 3 })).status, 200);
  statuses.push(502, 502, 200);
  assert.equal((await send(url, { maxAttempts: 2 })).status, 502);
  assert.deepEqual(statuses, [200]);
});

test("answers that stay the same are not asked for again", async () => {
  for (const status of [404, 429, 501, 505]) {
    let requests = 0;
    const url = await serve((_, response) => {
      requests++;
      response.writeHead(status).end();
    });
    assert.equal((await send(url)).status, status);
    assert.equal(requests, 1);
  }
});

test("a connection that breaks within the answer is tried again", async () => {
  let requests = 0;
  const url = await serve((_, response) => {
    requests++;
    response.writeHead(200, { "content-length": 10 });
    if (requests === 1) response.write("12345", () => response.destroy());
    else response.end("1234567890");
  });
  assert.equal(Buffer.from((await send(url)).body).toString(), "1234567890");
  assert.equal(requests, 2);
});

test("a server that is silent, before its answer and within it", async () => {
  const silent = await serve(() => undefined);
  const options = { timeoutMs: 50, maxAttempts: 1 };
  await assert.rejects(send(silent, options), refusal("timeout", /127.* did not answer in time/));
  const halting = await serve(
    (_, response) => void response.writeHead(200, { "content-length": 10 }).write("1"),
  );
  await assert.rejects(send(halting, options), refusal("timeout", /127.* did not answer in time/));
});

test("signals end a request, and the rest between two", async () => {
  const silent = await serve(() => undefined);
  await assert.rejects(
    send(silent, { signal: AbortSignal.timeout(20) }),
    refusal("timeout", /testing: not finished in time/),
  );
  const controller = new AbortController();
  const failing = await serve((_, response) => {
    response.writeHead(500).end();
    setImmediate(() => controller.abort());
  });
  const options = { signal: controller.signal, backoffMs: 3_600_000 };
  await assert.rejects(send(failing, options), refusal("cancelled", /testing: cancelled/));
});

test("an answer that is too long is cut off if it is an error's, and refused if it is not", async () => {
  let status = 200;
  const url = await serve((_, response) => void response.writeHead(status).end("x".repeat(100_000)));
  await assert.rejects(send(url), refusal("too-large", /more than 1000 bytes/));
  status = 404;
  assert.equal((await send(url)).body.length, 65_536);
});

test("TLS where none is spoken says so and is not tried again", async () => {
  const url = await serve((_, response) => void response.end());
  url.protocol = "https:";
  await assert.rejects(
    send(url, { maxAttempts: 1000 }),
    refusal("network", /plain HTTP, list 127.* as an insecure registry/),
  );
});
