import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { type TestContext, test } from "node:test";
import { type RunningGateway, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import { cluster, gatewayConfig } from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";
import type { Cluster } from "./cluster-config.ts";

/** An upstream that says its name, and counts connections. */
async function runNamed(context: TestContext, name: string, status = 200) {
  const { port, server } = await runUpstream(context, (_, response) => {
    response.statusCode = status;
    response.end(name);
  });
  const counts = { opened: 0, open: 0 };
  server.on("connection", (socket) => {
    counts.opened++;
    counts.open++;
    socket.on("close", () => counts.open--);
  });
  return { port, counts };
}

const bodyOf = async ({ port }: RunningGateway) => (await get(port, "/", "a.com")).body;

const bodiesOf = async (gateway: RunningGateway, count: number) => {
  const bodies: string[] = [];
  for (let i = 0; i < count; i++) bodies.push(await bodyOf(gateway));
  return bodies;
};

const withClusters = (...clusters: Cluster[]) => gatewayConfig({ clusters });

test("connections and turns stay where endpoints do", async (t) => {
  const [a, b] = [await runNamed(t, "a"), await runNamed(t, "b")];
  const gateway = await runGateway(t, withClusters(cluster("up", [a.port])));
  assert.deepEqual(await bodiesOf(gateway, 3), ["a", "a", "a"]);
  gateway.config.set(withClusters(cluster("up", [a.port, b.port])));
  const bodies = await bodiesOf(gateway, 4);
  assert.deepEqual(bodies.toSorted(), ["a", "a", "b", "b"]);
  assert.equal(a.counts.opened, 1);
  gateway.config.set(withClusters(cluster("up", [b.port])));
  assert.deepEqual(await bodiesOf(gateway, 2), ["b", "b"]);
  await until("the connection closing", () => a.counts.open === 0);
  assert.equal(b.counts.opened, 1);
});

test("a request outlives its cluster", async (t) => {
  let finish = () => {};
  const upstream = await runUpstream(t, (_, response) => {
    response.write("begun,");
    finish = () => response.end("ended");
  });
  const gateway = await runGateway(t, withClusters(cluster("up", [upstream.port])));
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const sent = request({ port: gateway.port, host: "127.0.0.1", agent }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  response.on("data", (bytes) => {
    text += bytes;
  });
  await until("the beginning", () => text === "begun,");
  gateway.config.set(withClusters());
  finish();
  await once(response, "end");
  assert.equal(text, "begun,ended");
  assert.equal((await get(gateway.port, "/", "a.com")).status, 503);
});

test("names of a cluster are resolved before its first request is answered", async (t) => {
  const a = await runNamed(t, "a");
  const named = cluster("up", [a.port], { discovery: "strict_dns", dnsFamily: "v4" });
  const endpoints = {
    ...named.endpoints,
    localities: named.endpoints.localities.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, address: "localhost" })),
    })),
  };
  const gateway = await runGateway(t, withClusters({ ...named, endpoints }));
  assert.equal(await bodyOf(gateway), "a");
  const [host] = [...gateway.gateway.clusters.find("up")!.balancer.hosts.keys()];
  assert.equal(host, `127.0.0.1:${a.port}`);
});

test("an endpoint that fails again and again gets no requests", async (t) => {
  const [bad, fine] = [await runNamed(t, "bad", 503), await runNamed(t, "fine")];
  const outlierDetection = {
    consecutive5xx: 3,
    enforcingConsecutive5xx: 100,
    consecutiveGatewayFailure: 0,
    enforcingConsecutiveGatewayFailure: 0,
    consecutiveLocalOriginFailure: 0,
    enforcingConsecutiveLocalOriginFailure: 0,
    splitLocalOrigin: false,
    intervalMs: 10_000,
    baseEjectionMs: 60_000,
    maxEjectionMs: 300_000,
    maxEjectionPercent: 50,
    alwaysEjectOneHost: false,
  };
  const up = cluster("up", [bad.port, fine.port], { outlierDetection });
  const gateway = await runGateway(t, withClusters(up));
  const bodies = await bodiesOf(gateway, 12);
  assert.equal(bodies.filter((body) => body === "bad").length, 3);
  assert.deepEqual(bodies.slice(-4), ["fine", "fine", "fine", "fine"]);
  // What is known of it stays when endpoints change.
  gateway.config.set(withClusters({ ...up, endpoints: { ...up.endpoints } }));
  assert.deepEqual(await bodiesOf(gateway, 3), ["fine", "fine", "fine"]);
});

test("connections without requests are closed in time", async (t) => {
  const a = await runNamed(t, "a");
  const gateway = await runGateway(t, withClusters(cluster("up", [a.port], { idleTimeoutMs: 30 })));
  assert.equal(await bodyOf(gateway), "a");
  await until("the connection closing", () => a.counts.open === 0);
  assert.equal(await bodyOf(gateway), "a");
  assert.equal(a.counts.opened, 2);
});

test("a connection that is old enough takes no more requests", async (t) => {
  const a = await runNamed(t, "a");
  const up = cluster("up", [a.port], { maxConnectionDurationMs: 30 });
  const gateway = await runGateway(t, withClusters(up));
  assert.equal(await bodyOf(gateway), "a");
  await until("the connection closing", () => a.counts.open === 0);
  assert.equal(await bodyOf(gateway), "a");
});

test("what a cluster uses is given back", async (t) => {
  const a = await runNamed(t, "a");
  const gateway = await runGateway(t, withClusters(cluster("up", [a.port])));
  await Promise.all(Array.from({ length: 20 }, () => bodyOf(gateway)));
  const { use } = gateway.gateway.clusters.find("up")!;
  await until("no request", () => use.requests === 0);
  assert.deepEqual([use.pending, use.requests, use.retries], [0, 0, 0]);
  assert.equal(use.connections, a.counts.open);
});
