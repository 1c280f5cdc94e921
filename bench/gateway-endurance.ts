// The embedded gateway, or Envoy, for long: what its memory does, and whether an answer is missing.
//   node --import tsx bench/gateway-endurance.ts [requests[=1000000]] [bodies[=100]] [connections[=2000,500]] [--envoy]
// requests: so many through three plugins · bodies: four at a time of so many MB each, there and back, over HTTP/1 and HTTP/2 ·
// connections: so many idle ones, and slow ones (heads, bodies and readers by turns), with load beside. All three if none is
// named. Exit status 1 if a request failed. Build before: node scripts/build.mjs
import { createHash } from "node:crypto";
import { request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { requirePeers } from "../test/peers/peers.ts";
import { startProgram } from "../test/peers/program.ts";
import { residentMiB } from "./cpu.ts";
import { type BenchGateway, startBenchGateway } from "./start-gateway.ts";
import { wrkRequests } from "./wrk.ts";

const module = (name: string) => fileURLToPath(new URL(`../build/plugins/${name}.wasm`, import.meta.url));
const consumers = [{ name: "ann", credential: "secret" }];
const keyAuth = { keys: ["x-api-key"], in_header: true, global_auth: true, consumers };
const plugins = [
  {
    name: "transformer",
    file: module("transformer"),
    configuration: JSON.stringify({
      reqRules: [{ operate: "replace", headers: [{ key: "x-seen", newValue: "yes" }] }],
    }),
  },
  { name: "key-auth", file: module("key-auth"), configuration: JSON.stringify(keyAuth) },
  { name: "easy-logger", file: module("easy-logger"), configuration: "{}" },
];

const chosen = new Map<string, string | undefined>();
for (const argument of process.argv.slice(2)) {
  const [name = "", value] = argument.split("=", 2);
  chosen.set(name, value);
}
const kind = chosen.delete("--envoy") ? "envoy" : "embedded";
const wants = (name: string) => chosen.size === 0 || chosen.has(name);
const { wrk } = await requirePeers();

const upstreamScript = fileURLToPath(new URL("endurance-upstream.ts", import.meta.url));
const upstream = startProgram(process.execPath, ["--import", "tsx", upstreamScript]);
const upstreamPort = Number(await upstream.waitFor("stdout", /^\d+$/m));

/** The largest and the last memory of a gateway while something runs, in MiB. */
async function watchMemory<T>({ pid }: BenchGateway, run: () => Promise<T>): Promise<T> {
  let largest = residentMiB(pid);
  const before = largest;
  const timer = setInterval(() => {
    largest = Math.max(largest, residentMiB(pid));
  }, 100);
  try {
    return await run();
  } finally {
    clearInterval(timer);
    await pause(1000);
    const figures = [before, largest, residentMiB(pid)].map((mib) => mib.toFixed(0));
    console.log(`  MiB before, at most, after: ${figures.join(", ")}`);
  }
}

async function sendRequests(gateway: BenchGateway, total: number): Promise<void> {
  for (let sent = 0, next = 0; sent < total; ) {
    sent += await wrkRequests(wrk, gateway.port, 5, { "x-api-key": "secret" });
    if (sent < next) continue;
    next += total / 10;
    console.log(`  ${sent} requests, ${residentMiB(gateway.pid).toFixed(0)} MiB`);
  }
}

const part = Buffer.alloc(1024 * 1024);

/** Sends a body and reads it back; fails where it comes back otherwise. */
async function echo(
  to: Duplex | ReturnType<typeof request>,
  from: Promise<Readable>,
  mib: number,
): Promise<void> {
  const [there, back] = [createHash("sha256"), createHash("sha256")];
  const reading = from.then(async (body) => {
    for await (const bytes of body) back.update(bytes as Buffer);
  });
  for (let i = 0; i < mib; i++) {
    part.writeUInt32BE(i);
    there.update(part);
    if (!to.write(Buffer.from(part))) await new Promise((resolve) => to.once("drain", resolve));
  }
  to.end();
  await reading;
  if (there.digest("hex") !== back.digest("hex")) throw new Error("a body came back otherwise");
}

function echoOverHttp1(port: number, mib: number): Promise<void> {
  const sent = request({ port, host: "127.0.0.1", method: "POST", headers: { "x-api-key": "secret" } });
  const answered = new Promise<Readable>((resolve, reject) =>
    sent.on("response", resolve).on("error", reject),
  );
  return echo(sent, answered, mib);
}

async function echoOverHttp2(port: number, mib: number): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":method": "POST", ":path": "/", "x-api-key": "secret" });
  const answered = new Promise<Readable>((resolve, reject) => {
    stream.on("response", () => resolve(stream)).on("error", reject);
  });
  await echo(stream, answered, mib);
  session.close();
}

const head = "Host: a\r\nX-Api-Key: secret\r\n";
const firstWords: readonly string[] = [
  `GET / HTTP/1.1\r\n${head}X-Slow: `,
  `POST / HTTP/1.1\r\n${head}Content-Length: 1000000\r\n\r\n`,
  `GET /endless HTTP/1.1\r\n${head}\r\n`,
];

/** A client that goes on by a few bytes a second. */
function openSlow(port: number, i: number): Socket {
  const socket = connect(port, "127.0.0.1", () => socket.write(firstWords[i % 3]!));
  socket.on("error", () => {});
  const timer = setInterval(() => {
    if (i % 3 < 2) socket.write("a");
    else socket.read(1024);
  }, 1000);
  socket.on("close", () => clearInterval(timer));
  if (i % 3 < 2) socket.resume();
  return socket;
}

/** A client that has asked once, and keeps its connection. */
function openIdle(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`GET / HTTP/1.1\r\n${head}\r\n`));
    socket.once("data", () => resolve(socket)).on("error", reject);
  });
}

async function holdConnections(gateway: BenchGateway, idle: number, slow: number): Promise<void> {
  const { port } = gateway;
  const idleSockets: Socket[] = [];
  for (let i = 0; i < idle; i++) idleSockets.push(await openIdle(port));
  console.log(`  ${idle} idle: ${residentMiB(gateway.pid).toFixed(0)} MiB`);
  const slowSockets = Array.from({ length: slow }, (_, i) => openSlow(port, i));
  await pause(2000);
  console.log(`  and ${slow} slow: ${residentMiB(gateway.pid).toFixed(0)} MiB`);
  // Within the 15 s that a route gives a response.
  const requests = await wrkRequests(wrk, port, 10, { "x-api-key": "secret" });
  const [idleLeft, slowLeft] = [idleSockets, slowSockets].map(
    (all) => all.filter((each) => !each.closed).length,
  );
  console.log(`  ${requests} requests beside them; ${idleLeft} idle and ${slowLeft} slow are still there`);
  if (idleLeft !== idle) throw new Error("idle connections were closed");
  for (const socket of [...idleSockets, ...slowSockets]) socket.destroy();
}

async function run(title: string, action: (gateway: BenchGateway) => Promise<void>): Promise<void> {
  const gateway = await startBenchGateway(kind, upstreamPort, plugins);
  console.log(`${title} (${kind})`);
  const began = performance.now();
  try {
    await watchMemory(gateway, () => action(gateway));
    console.log(`  ${((performance.now() - began) / 1000).toFixed(0)} s`);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    await gateway.stop();
  }
}

if (wants("requests")) {
  const total = Number(chosen.get("requests") ?? 1_000_000);
  await run(`${total} requests through three plugins`, (gateway) => sendRequests(gateway, total));
}
if (wants("bodies")) {
  const mib = Number(chosen.get("bodies") ?? 100);
  for (const [name, send] of [
    ["HTTP/1", echoOverHttp1],
    ["HTTP/2", echoOverHttp2],
  ] as const)
    await run(`4 bodies of ${mib} MiB there and back over ${name}`, async ({ port }) => {
      await Promise.all(Array.from({ length: 4 }, () => send(port, mib)));
    });
}
if (wants("connections")) {
  const [idle = 2000, slow = 500] = (chosen.get("connections") ?? "2000,500").split(",").map(Number);
  await run(`${idle} idle and ${slow} slow connections`, (gateway) => holdConnections(gateway, idle, slow));
}
await upstream.stop();
