import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { type TestContext, test } from "node:test";
import { type RunningGateway, readBody, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { connectRaw } from "../../test/peers/raw-connection.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";

const clientCount = 8;

/** Asks on one connection until the gateway says that it ends. Gives how often. */
async function askOverHttp1(port: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let count = 1; ; count++) {
    const { status, body, headers } = await get(port, "/", "a.com", agent);
    assert.deepEqual([status, body], [200, "whole"]);
    if (headers.connection !== "close") continue;
    agent.destroy();
    return count;
  }
}

async function askOverHttp2(port: number): Promise<number> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  let isEnding = false;
  session.on("goaway", () => {
    isEnding = true;
  });
  let count = 0;
  while (!isEnding) {
    const answer = await askOnSession(session).catch((error: NodeJS.ErrnoException) => {
      // Node refuses a request of its own that is not on the wire yet when the gateway's GOAWAY arrives: it was not begun.
      if (!isEnding || !error.message.endsWith("NGHTTP2_REFUSED_STREAM")) throw error;
    });
    if (answer === undefined) break;
    assert.equal(answer, "200 whole");
    count++;
  }
  if (!session.destroyed) await once(session, "close");
  return count;
}

async function askOnSession(session: ClientHttp2Session): Promise<string> {
  const stream = session.request({ ":path": "/", ":authority": "a.com" });
  const [headers] = await once(stream, "response");
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return `${headers[":status"]} ${Buffer.concat(parts)}`;
}

/** A gateway under load of both protocols; `end` begins its end. Every request that is begun is answered whole. */
async function drainUnderLoad(
  t: TestContext,
  end: (running: RunningGateway) => void,
): Promise<RunningGateway> {
  let served = 0;
  const upstream = await runUpstream(t, async (request, response) => {
    await readBody(request);
    response.write("who");
    setTimeout(() => response.end("le"), 5);
    served++;
  });
  const running = await runGateway(t, gatewayConfig({ clusters: [cluster("up", [upstream.port])] }), {
    drainMs: 20_000,
  });
  const { port } = running;
  const clients = Array.from({ length: clientCount }, (_, i) =>
    i % 2 ? askOverHttp1(port) : askOverHttp2(port),
  );
  await until("there is load", () => served > 100);
  end(running);
  const counts = await Promise.all(clients);
  for (const count of counts) assert.ok(count > 1, "every client had answers before");
  return running;
}

test("a gateway that ends answers what was begun, and tells clients of both protocols", async (t) => {
  let ended: Promise<void> | undefined;
  const { gateway, port } = await drainUnderLoad(t, (running) => {
    ended = running.stop();
  });
  await ended;
  await gateway.closed;
  await assert.rejects(get(port));
});

test("a listener that is gone answers what was begun", async (t) => {
  const { gateway, port } = await drainUnderLoad(t, ({ config }) =>
    config.set({ ...config.value!, listeners: new Map() }),
  );
  assert.equal(gateway.listeners.size, 0);
  await assert.rejects(get(port));
});

test("what is left at the end of the drain is cut", async (t) => {
  const upstream = await runUpstream(t, () => {});
  const config = gatewayConfig({ clusters: [cluster("up", [upstream.port])] });
  const { port, stop } = await runGateway(t, config, { drainMs: 500 });
  const hanging = await connectRaw(port);
  hanging.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const silent = await connectRaw(port);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  const stream = session.request({ ":path": "/" });
  stream.on("error", () => {});
  await once(session, "remoteSettings");
  const [goneAway, cut] = [once(session, "goaway"), once(stream, "close")];
  await stop();
  assert.ok((await hanging.ends()) && (await silent.ends()));
  assert.equal(hanging.received(), "");
  await Promise.all([goneAway, cut]);
});

test("a listener with too many connections closes what comes", async (t) => {
  const upstream = await runUpstream(t, (_, response) => response.end("ok"));
  const config = gatewayConfig({ clusters: [cluster("up", [upstream.port])] });
  const { port } = await runGateway(t, config, { maxConnections: 2 });
  const [first] = [await connectRaw(port), await connectRaw(port)];
  const third = await connectRaw(port);
  assert.ok(await third.ends());
  first.close();
  await until("there is room again", async () => (await get(port)).body === "ok");
});
