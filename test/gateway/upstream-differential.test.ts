// The same clusters, routes and requests through a real Envoy and through this gateway, each in front of upstreams of its
// own: answers, access log, and what the upstreams saw are compared field by field.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { makeCertificate } from "../peers/certificate.ts";
import { until } from "../peers/until.ts";
import { type UpstreamCase, upstreamCases } from "./upstream/cases.ts";
import {
  ask,
  type Outcome,
  type SentRequest,
  startTestedEnvoy,
  startTestedGateway,
  type TestedGateway,
  type Traffic,
} from "./upstream/gateway-pair.ts";
import {
  type ScriptedUpstreams,
  startScriptedUpstreams,
  type UpstreamTlsFiles,
} from "./upstream/scripted-upstreams.ts";

interface Side {
  readonly gateway: TestedGateway;
  readonly upstreams: ScriptedUpstreams;
}

let directory: string;
let envoy: Side;
let ours: Side;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "wasmline-upstream-"));
  const files = makeCertificate(directory, "upstream");
  const cert = await readFile(files.certificate);
  const tls = { cert, key: await readFile(files.key), ca: cert };
  [envoy, ours] = await Promise.all([startSide(tls, startTestedEnvoy), startSide(tls, startTestedGateway)]);
});

after(async () => {
  for (const side of [envoy, ours]) {
    await side?.gateway.stop();
    side?.upstreams.close();
  }
  await rm(directory, { recursive: true, force: true });
});

async function startSide(
  tls: UpstreamTlsFiles,
  start: (traffic: Traffic) => Promise<TestedGateway>,
): Promise<Side> {
  const upstreams = await startScriptedUpstreams(tls);
  return { upstreams, gateway: await start(trafficOf(upstreams)) };
}

function trafficOf({ ports }: ScriptedUpstreams): Traffic {
  const clusters = upstreamCases.map(({ to, cluster = {} }, index): JsonObject => {
    const endpoints = to.map((name) => ({
      endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: ports[name] } } },
    }));
    const load_assignment = { cluster_name: `c${index}`, endpoints: [{ lb_endpoints: endpoints }] };
    return { name: `c${index}`, type: "STATIC", connect_timeout: "5s", load_assignment, ...cluster };
  });
  const virtualHosts = upstreamCases.map(({ route = {}, virtualHost = {} }, index): JsonObject => {
    const routes = [{ match: { prefix: "/" }, route: { cluster: `c${index}`, ...route } }];
    return { name: `v${index}`, domains: [`c${index}.test`], routes, ...virtualHost };
  });
  return { clusters, virtualHosts };
}

/** What a case gives: for each request the answer and the line of the log, and what the upstreams saw of all. */
async function run({ gateway, upstreams }: Side, testCase: UpstreamCase, index: number) {
  upstreams.take();
  upstreams.takeConnections();
  const host = `c${index}.test`;
  const send = (each: UpstreamCase["send"][number], i: number) =>
    ask(gateway.port, host, `${index}-${i}`, each);
  const answers: Outcome[] = [];
  if (testCase.atOnce) answers.push(...(await sendAtOnce({ gateway, upstreams }, testCase, send)));
  else for (const [i, each] of testCase.send.entries()) answers.push(await send(each, i));
  const logs = await Promise.all(testCase.send.map((_, i) => gateway.logOf(`${index}-${i}`)));
  return {
    answers: answers.map((answer, i) => ({ path: testCase.send[i]!.path, ...answer, log: logs[i] })),
    seen: upstreams.take(),
    connections: upstreams.takeConnections(),
  };
}

/** One after the other, each when the one before is where it stays; then the upstream answers. */
async function sendAtOnce(
  { gateway, upstreams }: Side,
  { send: requests }: UpstreamCase,
  send: (each: SentRequest, i: number) => Promise<Outcome>,
): Promise<Outcome[]> {
  const answers: Promise<Outcome>[] = [];
  for (const [i, each] of requests.entries()) {
    const answer = send(each, i);
    answers.push(answer);
    if (each.path !== "/held") await answer;
    else if (i === 0) await until("the request", () => upstreams.held > 0);
    // What has been sent before this one is answered has come.
    else await ask(gateway.port, "nobody", "none", { path: "/" });
  }
  let left = answers.length;
  const all = Promise.all(answers.map((each) => each.finally(() => left--)));
  await until("all answers", () => {
    upstreams.release();
    return left === 0;
  });
  return all;
}

for (const [index, testCase] of upstreamCases.entries())
  test(testCase.name, async () => {
    const [expected, actual] = await Promise.all([run(envoy, testCase, index), run(ours, testCase, index)]);
    assert.deepEqual(actual, expected);
  });

for (const name of ["HTTP/1: answers", "HTTP/2: answers"])
  test(`${name}: an upgrade`, async () => {
    const index = upstreamCases.findIndex((each) => each.name === name);
    const [expected, actual] = await Promise.all([upgrade(envoy, index), upgrade(ours, index)]);
    assert.deepEqual(actual, expected);
  });

/** Asks for a WebSocket, and sends something over it: what came, and what the upstream saw. */
async function upgrade({ gateway, upstreams }: Side, index: number) {
  upstreams.take();
  const socket = connect(gateway.port, "127.0.0.1");
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: c${index}.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  await until("the switch", () => received.includes("\r\n\r\n"));
  const [head = ""] = received.split("\r\n\r\n");
  socket.write("ping");
  await until("the echo", () => received.endsWith("ping"));
  socket.destroy();
  const lines = head
    .split("\r\n")
    .filter((line) => !/^(date|server|x-envoy-upstream-service-time):/i.test(line));
  return { lines: lines.sort(), seen: upstreams.take() };
}
