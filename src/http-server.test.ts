import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, suite, test } from "node:test";
import { until } from "../test/peers/until.ts";
import { eventsPage, jsonPage, type Pages, readyPage, servePages } from "./http-server.ts";
import { SystemError } from "./system-error.ts";

const ended = new AbortController();
let port: number;
let asked = false;
let listening = false;

const pages: Pages = {
  "/ready": () => readyPage(true, "not said"),
  "/not-ready": () => readyPage(false, "nothing was received yet"),
  "/json": () => jsonPage({ a: [1], text: "é" }),
  "/query": async (query) => ({ body: `${query.get("a")}|${query.has("b")}` }),
  "/html": () => ({ status: 203, type: "text/html", body: "<p>" }),
  "/throws": () => {
    throw new SystemError("disk", "the disk is full");
  },
  "/rejects": () => Promise.reject(new Error("a page failed", { cause: new Error("because") })),
  "/events": (query) =>
    eventsPage((send, signal) => {
      listening = true;
      signal.addEventListener("abort", () => {
        listening = false;
      });
      for (const text of query.getAll("say")) send(text);
    }),
  "/endless": () => {
    asked = true;
    return new Promise(() => {});
  },
};

before(async () => {
  port = await servePages({ bind: "127.0.0.1", port: 0, pages, signal: ended.signal });
});
after(() => ended.abort());

/** Sends a request with this target as it is, which no URL parser has seen. */
async function ask(path: string, method = "GET") {
  const sent = request({ host: "127.0.0.1", port, path, method, agent: false }).end();
  const [response] = await once(sent, "response");
  const chunks: Buffer[] = await response.toArray();
  return {
    status: response.statusCode as number,
    headers: response.headers,
    body: Buffer.concat(chunks).toString(),
  };
}

suite("servePages", () => {
  test("a page gets the query", async () => {
    const { status, headers, body } = await ask("/query?a=x%20y&b");
    assert.deepEqual([status, body], [200, "x y|true"]);
    assert.equal(headers["content-type"], "text/plain; charset=utf-8");
  });

  test("a page of JSON says so and counts bytes", async () => {
    const { headers, body } = await ask("/json");
    assert.deepEqual(JSON.parse(body), { a: [1], text: "é" });
    assert.ok(body.endsWith("}\n"));
    assert.equal(headers["content-type"], "application/json");
    assert.equal(Number(headers["content-length"]), Buffer.byteLength(body));
  });

  test("a page chooses its status and type", async () => {
    const { status, headers } = await ask("/html");
    assert.deepEqual([status, headers["content-type"]], [203, "text/html"]);
  });

  test("a page of events goes on until whoever asked has gone", async () => {
    const sent = request({ host: "127.0.0.1", port, path: "/events?say=one&say=two", agent: false }).end();
    const [response] = await once(sent, "response");
    assert.equal(response.headers["content-type"], "text/event-stream");
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    await until("both events are there", () => text === "data: one\n\ndata: two\n\n");
    assert.ok(listening);
    response.destroy();
    await until("the page has heard of it", () => !listening);
    assert.equal((await ask("/events", "HEAD")).body, "");
  });

  test("ready: 200 and no body, or 503 and the reason", async () => {
    const [ready, notReady] = await Promise.all([ask("/ready"), ask("/not-ready")]);
    assert.deepEqual([ready.status, ready.body], [200, ""]);
    assert.deepEqual([notReady.status, notReady.body], [503, "nothing was received yet\n"]);
  });

  test("HEAD: the headers of GET and no body", async () => {
    const [got, headed] = await Promise.all([ask("/json"), ask("/json", "HEAD")]);
    assert.equal(headed.status, 200);
    assert.equal(headed.body, "");
    assert.equal(headed.headers["content-length"], got.headers["content-length"]);
  });

  test("404 names the pages that there are", async () => {
    for (const path of ["/", "/nothing", "/ready/", "/toString", "/__proto__"]) {
      const { status, body } = await ask(path);
      assert.equal(status, 404, path);
      assert.match(body, /\/html, \/json, \/not-ready, \/query, \/ready/);
    }
  });

  test("other methods are 405, with those that are allowed", async () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status, headers } = await ask("/ready", method);
      assert.deepEqual([status, headers.allow], [405, "GET, HEAD"], method);
    }
  });

  test("a page that fails is 500 with one line and no stack", async () => {
    const [thrown, rejected] = await Promise.all([ask("/throws"), ask("/rejects")]);
    assert.deepEqual([thrown.status, thrown.body], [500, "the disk is full\n"]);
    assert.deepEqual([rejected.status, rejected.body], [500, "a page failed: because\n"]);
  });

  test("a target that is no URL is 400 and leaves the server up", async () => {
    for (const path of ["//", "http://", "http://[", "//:x"]) {
      assert.equal((await ask(path)).status, 400, path);
    }
    assert.equal((await ask("http://somewhere.com/ready")).status, 200);
  });

  test("bytes that are no HTTP leave the server up", async () => {
    const socket = connect(port, "127.0.0.1");
    socket.end("\x16\x03\x01 hello\r\n\r\n");
    await once(socket.resume(), "close");
    assert.equal((await ask("/ready")).status, 200);
  });

  test("a port that is taken is a SystemError that names it", async () => {
    await assert.rejects(
      servePages({ bind: "127.0.0.1", port, pages, signal: ended.signal }),
      (error: unknown) =>
        error instanceof SystemError &&
        error.code === "network" &&
        error.message.startsWith(`cannot listen on 127.0.0.1:${port}: `),
    );
  });

  test("after the abort nobody listens, and open requests are cut", async () => {
    const stopped = new AbortController();
    const own = await servePages({ bind: "127.0.0.1", port: 0, pages, signal: stopped.signal });
    const open = request({ host: "127.0.0.1", port: own, path: "/endless", agent: false }).end();
    await until("the page is asked for", () => asked);
    const cut = once(open, "error");
    stopped.abort();
    assert.equal((await cut)[0].code, "ECONNRESET");
    const [refused] = await once(connect(own, "127.0.0.1"), "error");
    assert.equal(refused.code, "ECONNREFUSED");
  });
});
