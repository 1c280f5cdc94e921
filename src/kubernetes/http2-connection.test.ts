import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeCertificate } from "../../test/peers/certificate.ts";
import { type ScriptedAnswer, startScriptedServer } from "../../test/peers/http2-script.ts";
import { writeKubeconfig } from "../../test/peers/kubeconfig.ts";
import { until } from "../../test/peers/until.ts";
import { connectKubernetes, type Method } from "./client.ts";
import { connectHttp2 } from "./connect-http2.ts";
import { createHttp2Connection } from "./http2-connection.ts";

// What a real API server does seldom, or only while it fails.

const [noError, internalError, refusedStream, cancel] = [0, 2, 7, 8];
const path = "/api/v1/namespaces/default/configmaps";
const directory = await mkdtemp(join(tmpdir(), "http2-connection-"));
const files = makeCertificate(directory, "server");
test.after(() => rm(directory, { recursive: true }));

async function startServer(t: TestContext, ...script: readonly ((answer: ScriptedAnswer) => void)[]) {
  const server = await startScriptedServer(t, files, script);
  const origin = `https://127.0.0.1:${server.port}`;
  const authority = files.certificate;
  const client = await connectKubernetes({
    kubeconfig: await writeKubeconfig(directory, {
      server: origin,
      authority,
      user: { token: "secret-token" },
    }),
  });
  return { server, origin, client };
}

interface Case {
  readonly what: string;
  readonly method: Method;
  readonly act: (answer: ScriptedAnswer) => void;
  /** How often the server was asked, and over how many connections. */
  readonly asked: readonly [requests: number, connections: number];
  /** undefined where there is an answer in the end. */
  readonly failure?: RegExp;
}

const ended = /^\w+ https:\S+: https:\S+ ended the connection \(ECONNRESET\)$/;
const cases: readonly Case[] = [
  {
    what: "a write that was refused unread is sent again",
    ...{ method: "POST", act: ({ reset }) => reset(refusedStream), asked: [2, 1] },
  },
  {
    what: "a write that came too late for a server that ends is sent again elsewhere",
    ...{ method: "POST", act: ({ goAway }) => goAway(noError, 0), asked: [2, 2] },
  },
  {
    what: "so it is where the server ends because something is wrong",
    ...{ method: "POST", act: ({ goAway }) => goAway(internalError, 0), asked: [2, 2] },
  },
  {
    what: "a write that may have been read is not sent again when the connection ends",
    ...{ method: "POST", act: ({ hangUp }) => hangUp(), asked: [1, 1], failure: ended },
  },
  {
    what: "and not when its stream does",
    ...{ method: "PUT", act: ({ reset }) => reset(internalError), asked: [1, 1], failure: /INTERNAL_ERROR/ },
  },
  {
    what: "nor when the server says that it has read it",
    method: "POST",
    act: ({ goAway }) => goAway(internalError, 1),
    ...{ asked: [1, 1], failure: /error code 2/ },
  },
  {
    what: "reading is sent again when the connection ends",
    ...{ method: "GET", act: ({ hangUp }) => hangUp(), asked: [2, 2] },
  },
  {
    what: "an answer that is cut off is none: by the end of the connection",
    method: "GET",
    act: ({ begin, hangUp }) => {
      begin("");
      hangUp();
    },
    ...{ asked: [1, 1], failure: ended },
  },
  {
    what: "an answer that is cut off is none: by a reset",
    method: "GET",
    act: ({ begin, reset }) => {
      begin("");
      reset(cancel);
    },
    ...{ asked: [1, 1], failure: ended },
  },
];

for (const { what, method, act, asked, failure } of cases)
  test(what, async (t) => {
    const { server, client } = await startServer(t, act);
    const answer = client.request(method, path, method === "GET" ? {} : { body: {} });
    if (failure) await assert.rejects(answer, { name: "SystemError", code: "network", message: failure });
    else assert.deepEqual(await answer, {});
    assert.deepEqual([server.requests, server.connections], asked);
  });

const refuse = ({ reset }: ScriptedAnswer) => reset(refusedStream);

test("what is refused several times is sent until it is read", async (t) => {
  const { server, client } = await startServer(t, refuse, refuse, refuse);
  assert.deepEqual(await client.request("POST", path, { body: {} }), {});
  assert.equal(server.requests, 4);
});

test("what is always refused is not sent for ever", async (t) => {
  const { server, client } = await startServer(t, ...Array.from({ length: 9 }, () => refuse));
  await assert.rejects(client.request("GET", path), { code: "network", message: /REFUSED_STREAM/ });
  assert.equal(server.requests, 5);
});

test("a server whose certificate nobody trusts is told nothing", async (t) => {
  const { server, origin } = await startServer(t);
  const { certificate: authority } = makeCertificate(directory, "stranger");
  const kubeconfig = await writeKubeconfig(directory, {
    server: origin,
    authority,
    user: { token: "secret-token" },
  });
  const stranger = await connectKubernetes({ kubeconfig });
  await assert.rejects(stranger.request("GET", path), {
    ...{ name: "SystemError", code: "network" },
    message: /self-signed certificate/,
  });
  assert.equal(server.requests, 0);
});

test("after a request in vain a connection has no room until it says something", async (t) => {
  const silent = () => {};
  const { origin } = await startServer(t, silent);
  const connected = await connectHttp2(new URL(origin), { ca: readFileSync(files.certificate) });
  const connection = createHttp2Connection({ ...connected!, origin, pingMs: 60_000, onEnd: () => {} });
  t.after(() => connection.close());
  const url = new URL(path, origin);
  const request = { method: "GET", url, headers: {}, body: undefined };
  assert.equal(connection.hasRoom, true);
  await assert.rejects(connection.exchange({ ...request, signal: AbortSignal.timeout(50) }));
  assert.equal(connection.hasRoom, false);
  await until("it has answered a ping", () => connection.hasRoom);
});
