import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { createServer as createHttpsServer, Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  authorityResource,
  certificateResource,
  clusterResource,
  listenerResource,
  wasmJson,
} from "../peers/ads-resources.ts";
import { followWithGateway, type Resources, startAdsServer } from "../peers/ads-server.ts";
import { makeCertificate } from "../peers/certificate.ts";
import { readBody } from "../peers/gateway.ts";
import { openStream, startLongUpstream } from "../peers/long-upstream.ts";
import { freePort } from "../peers/ports.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const directory = mkdtempSync(join(tmpdir(), "handover-"));
after(() => rmSync(directory, { recursive: true }));
const transformer = join(import.meta.dirname, "../../build/plugins/transformer.wasm");
const certificates = {
  one: makeCertificate(directory, "one"),
  two: makeCertificate(directory, "two"),
};

/** A gateway behind a server of ADS, with an upstream whose responses at /stream do not end. */
async function start(t: TestContext, first: Resources) {
  const upstream = await startLongUpstream();
  t.after(() => upstream.close());
  const server = await startAdsServer(t, { cluster: [clusterResource("up", upstream.port)], ...first });
  const gateway = followWithGateway(t, server.port);
  await until("it serves", () => gateway.listeners.size > 0);
  return { upstream, server, gateway };
}

/** Asks again and again, on several ways at once, until `finish`, which fails if an answer was wrong or did not come. */
function keepAsking(ask: () => Promise<unknown>) {
  let isOver = false;
  let answers = 0;
  const failures: string[] = [];
  const run = async () => {
    while (!isOver) {
      await ask().then(
        () => answers++,
        (error) => failures.push(String(error)),
      );
    }
  };
  const runs = [run(), run(), run(), run()];
  return {
    /** Resolves after so many more answers. */
    async more(count: number) {
      const wanted = answers + count;
      await until(`${count} more answers`, () => failures.length > 0 || answers >= wanted);
    },
    async finish() {
      isOver = true;
      await Promise.all(runs);
      assert.deepEqual(failures, []);
    },
  };
}

async function askPlain(port: number, agent?: Agent): Promise<void> {
  const { status } = await get(port, "/", "a.com", agent);
  assert.equal(status, 200);
}

const isRefused = (port: number) =>
  get(port, "/", "a.com").then(
    () => false,
    (error) => error.code === "ECONNREFUSED",
  );

test("a listener that moves serves at the new address before it leaves the old one", async (t) => {
  const [before, next] = [await freePort(), await freePort()];
  const { upstream, server, gateway } = await start(t, { listener: [listenerResource("l", before, {})] });
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  const load = keepAsking(() => askPlain(gateway.listeners.get("l")!.port, agent));
  const stream = await openStream(before, "a.com");
  const idle = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => idle.destroy());
  await askPlain(before, idle);
  await load.more(50);
  server.set({ listener: [listenerResource("l", next, {})] });
  await until("it has moved", () => gateway.listeners.get("l")?.port === next);
  await load.more(50);
  await load.finish();
  // A connection that waited is told to go, and not cut off.
  const told = await get(before, "/", "a.com", idle);
  assert.deepEqual([told.status, told.headers.connection], [200, "close"]);
  await until("the old port is closed", () => isRefused(before));
  await stream.receives("begin;");
  upstream.tick("still there;");
  await stream.receives("still there;");
  stream.close();
});

test("another listener at the same address takes over without refusing a connection", async (t) => {
  const port = await freePort();
  const { server, gateway } = await start(t, { listener: [listenerResource("a", port, {})] });
  const load = keepAsking(() => askPlain(port));
  await load.more(20);
  for (const name of ["b", "a", "b"]) {
    server.set({ listener: [listenerResource(name, port, {})] });
    await until(`${name} serves`, () => gateway.listeners.has(name) && gateway.listeners.size === 1);
    await load.more(20);
  }
  await load.finish();
});

test("a listener that is removed ends its connections with their responses", async (t) => {
  const [port, other] = [await freePort(), await freePort()];
  const listeners = [listenerResource("a", port, {}), listenerResource("b", other, {})];
  const { upstream, server } = await start(t, { listener: listeners });
  await until("both serve", () => askPlain(other).then(() => true));
  const stream = await openStream(port, "a.com");
  server.set({ listener: [listenerResource("b", other, {})] });
  await until("the port is closed", () => isRefused(port));
  upstream.tick("still there;");
  await stream.receives("still there;");
  stream.close();
  await askPlain(other);
});

test("a connection of a listener that is gone ends on the plugins that it had; then they end too", async (t) => {
  const [port, next] = [await freePort(), await freePort()];
  const marked = (at: number, value: string) => {
    const respRules = [{ operate: "add", headers: [{ key: "x-mark", value }] }];
    const filter = wasmJson("mark", { file: transformer, configuration: JSON.stringify({ respRules }) });
    return listenerResource("l", at, { filters: [filter] });
  };
  const { server, gateway } = await start(t, { listener: [marked(port, "old")] });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.equal((await get(port, "/", "a.com", agent)).headers["x-mark"], "old");
  server.set({ listener: [marked(next, "new")] });
  await until("it has moved", () => gateway.listeners.get("l")?.port === next);
  assert.equal((await get(next, "/", "a.com")).headers["x-mark"], "new");
  assert.equal(gateway.plugins.size, 2);
  const last = await get(port, "/", "a.com", agent);
  assert.deepEqual([last.status, last.headers["x-mark"], last.headers.connection], [200, "old", "close"]);
  await until("the old plugin has ended", () => gateway.plugins.size === 1);
});

interface TlsAnswer {
  readonly subject: string;
  readonly port: number;
}

/** Asks over TLS and says what certificate it saw, and from which port it asked. */
async function askTls(port: number, servername: string, agent?: HttpsAgent): Promise<TlsAnswer> {
  const options = { host: "127.0.0.1", port, servername, rejectUnauthorized: false };
  const sent = httpsRequest({ ...options, headers: { host: servername }, agent: agent ?? false });
  sent.end();
  const [response] = await once(sent, "response");
  const socket = response.socket as TLSSocket;
  const { localPort = 0 } = socket;
  const subject = String(socket.getPeerCertificate().subject?.CN);
  await readBody(response);
  assert.equal(response.statusCode, 200);
  return { subject, port: localPort };
}

test("a renewed certificate is for the next handshake; connections stay", async (t) => {
  const port = await freePort();
  const { server } = await start(t, {
    listener: [listenerResource("l", port, { certificate: "cert" })],
    secret: [certificateResource("cert", certificates.one)],
  });
  const agent = new HttpsAgent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 });
  t.after(() => agent.destroy());
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  t.after(() => session.destroy());
  let goaways = 0;
  session.on("goaway", () => goaways++);
  const overHttp2 = async () => {
    const stream = session.request({ ":path": "/", ":authority": "a.com" });
    const [headers] = await once(stream, "response");
    stream.resume();
    assert.equal(headers[":status"], 200);
  };
  await overHttp2();
  const first = await askTls(port, "a.com", agent);
  assert.equal(first.subject, "one");
  const load = keepAsking(() => askTls(port, "a.com"));
  await load.more(5);
  server.set({ secret: [certificateResource("cert", certificates.two)] });
  await until("a handshake shows it", async () => (await askTls(port, "a.com")).subject === "two");
  await load.finish();
  assert.equal((await askTls(port, "a.com", agent)).port, first.port);
  await overHttp2();
  assert.equal(goaways, 0);
});

test("filter chains come and go by server name; connections of the others stay", async (t) => {
  const port = await freePort();
  const a = { serverNames: ["a.com"], certificate: "one" };
  const b = { serverNames: ["b.com"], certificate: "two" };
  const secrets = [
    certificateResource("one", certificates.one),
    certificateResource("two", certificates.two),
  ];
  const { server } = await start(t, { listener: [listenerResource("l", port, a)], secret: secrets });
  const [ofA, ofB] = [1, 2].map(() => new HttpsAgent({ keepAlive: true, maxSockets: 1 }));
  t.after(() => {
    ofA!.destroy();
    ofB!.destroy();
  });
  const first = await askTls(port, "a.com", ofA);
  await assert.rejects(askTls(port, "b.com"));
  server.set({ listener: [listenerResource("l", port, a, b)] });
  await until("b.com is served", async () => (await askTls(port, "b.com")).subject === "two");
  const onB = await askTls(port, "b.com", ofB);
  // Another protocol is for the next handshake as well.
  server.set({ listener: [listenerResource("l", port, a, { ...b, alpn: ["http/1.1"] })] });
  await until("ALPN has changed", async () => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, {
      servername: "b.com",
      rejectUnauthorized: false,
    });
    const [error] = await Promise.race([once(session, "error"), once(session, "connect").then(() => [])]);
    session.destroy();
    return error !== undefined;
  });
  assert.equal((await askTls(port, "b.com", ofB)).port, onB.port);
  server.set({ listener: [listenerResource("l", port, a)] });
  await until("b.com is gone", () =>
    askTls(port, "b.com").then(
      () => false,
      () => true,
    ),
  );
  // Its connection is told to go; it is not cut off.
  assert.equal((await askTls(port, "b.com", ofB)).port, onB.port);
  await assert.rejects(askTls(port, "b.com", ofB));
  assert.equal((await askTls(port, "a.com", ofA)).port, first.port);
});

test("a renewed secret of a cluster is for its next connections", async (t) => {
  const seen: string[] = [];
  const options = {
    cert: readFileSync(certificates.one.certificate),
    key: readFileSync(certificates.one.key),
    ca: [certificates.one, certificates.two].map(({ certificate }) => readFileSync(certificate)),
    requestCert: true,
  };
  const upstream = createHttpsServer(options, (received, response) => {
    seen.push(String((received.socket as TLSSocket).getPeerCertificate().subject?.CN));
    if (received.url === "/last") response.setHeader("connection", "close");
    response.end("ok");
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  t.after(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const { port: upstreamPort } = upstream.address() as AddressInfo;
  const port = await freePort();
  const tls = { certificate: "client", authority: "authority" };
  const { server, gateway } = await start(t, {
    cluster: [clusterResource("up", upstreamPort, tls)],
    listener: [listenerResource("l", port, {})],
    secret: [
      certificateResource("client", certificates.one),
      authorityResource("authority", certificates.one),
    ],
  });
  const ask = async (path: string) => (await get(port, path, "a.com")).status;
  assert.equal(await ask("/"), 200);
  const before = gateway.config;
  server.set({
    secret: [
      certificateResource("client", certificates.two),
      authorityResource("authority", certificates.one),
    ],
  });
  await until("it is renewed", () => gateway.config !== before);
  // The connection stays, and so does what it has shown; the next one shows the new certificate.
  assert.equal(await ask("/last"), 200);
  assert.equal(await ask("/last"), 200);
  assert.deepEqual(seen, ["one", "one", "two"]);
  const renewed = gateway.config;
  server.set({
    secret: [
      certificateResource("client", certificates.two),
      authorityResource("authority", certificates.two),
    ],
  });
  await until("another authority is trusted", () => gateway.config !== renewed);
  assert.equal(await ask("/"), 503);
});
