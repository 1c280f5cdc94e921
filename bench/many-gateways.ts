// Many gateways on one discovery: they all connect at once, and then one plugin is edited. Core and discovery are programs
// of their own, the gateways two programs. First in plaintext with the same labels; then over TLS, each gateway with a label
// and a token of its own that a real API server reviews.
//   node --import tsx bench/many-gateways.ts [gateways=500] [plugins=200] [rules=20] [edits=20] [plain|tls]
// Profile discovery: WASMLINE_TEST_NODE_ARGS="--cpu-prof --cpu-prof-dir=build/profiles".
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connectKubernetes } from "../src/kubernetes/client.ts";
import { makeCertificate } from "../test/peers/certificate.ts";
import { type Kubernetes, startKubernetes } from "../test/peers/kubernetes.ts";
import { freePortOffset } from "../test/peers/ports.ts";
import { startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { reviewerKubeconfig } from "../test/peers/reviewer.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import type { ClientsOptions } from "./gateway-clients.ts";
import { generatePlugins } from "./generate-plugins.ts";

const numbers = process.argv.slice(2).map(Number).filter(Number.isFinite);
const [gateways = 500, plugins = 200, rules = 20, edits = 20] = numbers;
const only = process.argv.slice(2).find((argument) => ["plain", "tls"].includes(argument));
const programs = 2;
const services = 100;

interface Reading {
  readonly at: number;
  readonly messages: number;
  readonly resources: number;
  readonly bytes: number;
  readonly refused: number;
}

const dir = await mkdtemp(join(tmpdir(), "wasmline-gateways-"));
const resources = join(dir, "resources");
const bytes = generatePlugins(resources, plugins, rules);
writeFileSync(join(resources, "ingresses.json"), JSON.stringify(ingresses()));
console.log(
  `${gateways} gateways, ${plugins} plugins of ${rules} rules (${(bytes / 1e6).toFixed(1)} MB of YAML), ${services} services`,
);
try {
  if (only !== "tls") await measure("plaintext, same labels", { labels: "shared" });
  if (only !== "plain") await measureSecurely();
} finally {
  await rm(dir, { recursive: true, force: true });
}

async function measureSecurely(): Promise<void> {
  const { plane, end } = await startKubernetes();
  try {
    const certificate = makeCertificate(dir, "discovery");
    const kubeconfig = await reviewerKubeconfig(plane);
    const tokensFile = join(dir, "tokens.json");
    await writeFile(tokensFile, JSON.stringify(await manyTokens(plane)));
    const { certificate: cert, key } = certificate;
    await measure("TLS, a token and a label each", { labels: "unique", caFile: cert, tokensFile }, [
      ...["--tls-cert", cert, "--tls-key", key, "--token-review", "--require-authentication"],
      ...["--kubeconfig", kubeconfig, "--kube-qps", "1000", "--kube-burst", "1000"],
    ]);
  } finally {
    await end();
  }
}

/** A token for each gateway: of one account, and each another one, as pods have. */
async function manyTokens({ kubeconfig, ...plane }: Kubernetes): Promise<string[]> {
  await plane.token("higress-system", "gateway");
  const client = await connectKubernetes({ kubeconfig, perSecond: 1000, burst: 1000 });
  const path = "/api/v1/namespaces/higress-system/serviceaccounts/gateway/token";
  const tokens: string[] = [];
  for (let index = 0; index < gateways; index++) {
    // Seconds of its own make each token another one.
    const spec = { audiences: ["istio-ca"], expirationSeconds: 3600 + index };
    const answer = await client.request("POST", path, { body: { spec } });
    tokens.push((answer as { status: { token: string } }).status.token);
  }
  return tokens;
}

async function measure(
  title: string,
  options: Omit<ClientsOptions, "address" | "from" | "count">,
  flags: readonly string[] = [],
): Promise<void> {
  const offset = await freePortOffset();
  const ports = ["--port-offset", String(offset), "--log-level", "error"];
  const core = startWasmline(["core", "-f", resources, ...ports]);
  const discovery = startWasmline(["discovery", ...ports, ...flags]);
  await until(
    "discovery is ready",
    async () => (await get(15014 + offset, "/ready")).status === 200,
    120_000,
  );
  console.log(`\n${title}`);
  const before = cpuMs(discovery.pid);
  let peak = 0;
  const watching = setInterval(() => {
    peak = Math.max(peak, residentMiB(discovery.pid));
  }, 20);
  const began = performance.timeOrigin + performance.now();
  const address = `127.0.0.1:${(options.caFile ? 15012 : 15010) + offset}`;
  const share = Math.ceil(gateways / programs);
  const all = Array.from({ length: programs }, (_, index) => {
    const from = index * share;
    return startClients({ address, from, count: Math.min(share, gateways - from), ...options });
  });
  const read = async () => (await Promise.all(all.map(({ next }) => next()))) as Reading[];
  const synced = sum(await read());
  const idle = await atRest(discovery.pid);
  clearInterval(watching);
  console.log(
    `  all synced         ${((synced.at - began) / 1000).toFixed(2)} s after the start of their programs; ` +
      `discovery: ${((idle - before) / 1000).toFixed(2)} s CPU, ${peak.toFixed(0)} MiB at most, ` +
      `${residentMiB(discovery.pid).toFixed(0)} MiB at rest`,
  );
  console.log(
    `  of each gateway    ${(synced.messages / gateways).toFixed(0)} messages, ${(synced.resources / gateways).toFixed(0)} resources, ` +
      `${(synced.bytes / gateways / 1e6).toFixed(2)} MB; ${synced.refused} streams refused on the way`,
  );

  const times: number[] = [];
  const sent: Reading[] = [];
  let cpu = 0;
  for (let edit = 0; edit < edits; edit++) {
    for (const { ask } of all) ask();
    await read();
    const cpuBefore = cpuMs(discovery.pid);
    const file = join(resources, `plugin-${(edit * 37) % plugins}.yaml`);
    const text = readFileSync(file, "utf8").replace(
      /limit: \d+/,
      `limit: ${1_000_000 + edit * 7 + Math.floor(began % 1000)}`,
    );
    const saved = performance.timeOrigin + performance.now();
    writeFileSync(file, text);
    const reading = sum(await read());
    times.push(reading.at - saved);
    sent.push(reading);
    cpu += (await atRest(discovery.pid)) - cpuBefore;
  }
  const mean = (of: (reading: Reading) => number) =>
    sent.reduce((all, reading) => all + of(reading), 0) / edits / gateways;
  console.log(`  ${edits} edits, ms from saving to the last acknowledgement  ${distribution(times)}`);
  console.log(
    `  of each gateway    ${mean((r) => r.messages)} messages, ${mean((r) => r.resources)} resources, ` +
      `${mean((r) => r.bytes).toFixed(0)} bytes for each edit; discovery: ${(cpu / edits).toFixed(1)} ms CPU for each edit`,
  );
  for (const { end } of all) end();
  await Promise.all([discovery.stop("SIGINT"), core.stop()]);
}

function startClients(options: ClientsOptions) {
  const program = new URL("gateway-clients.ts", import.meta.url).pathname;
  const clients = spawn(process.execPath, ["--import", "tsx", program, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: clients.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => JSON.parse((await lines.next()).value as string) as Partial<Reading>,
    ask: () => void clients.stdin.write("\n"),
    end: () => void clients.kill(),
  };
}

function sum(readings: readonly Reading[]): Reading {
  const of = (key: keyof Reading) => readings.reduce((all, reading) => all + reading[key], 0);
  return {
    at: Math.max(...readings.map(({ at }) => at)),
    messages: of("messages"),
    resources: of("resources"),
    bytes: of("bytes"),
    refused: of("refused"),
  };
}

/** CPU time of a program, in ms, once it uses none. */
async function atRest(pid: number): Promise<number> {
  let last = -1;
  let since = performance.now();
  return until(
    "discovery is idle",
    () => {
      const now = cpuMs(pid);
      if (now !== last) since = performance.now();
      last = now;
      return performance.now() - since > 100 ? now : undefined;
    },
    120_000,
  );
}

/** As many Ingresses, each with a Service of its own. */
function ingresses() {
  const items = Array.from({ length: services }, (_, index) => {
    const metadata = { name: `app-${index}`, namespace: "apps" };
    const service = { name: metadata.name, port: { number: 80 } };
    const rule = {
      host: `app-${index}.example.com`,
      http: { paths: [{ path: "/", pathType: "Prefix", backend: { service } }] },
    };
    return [
      { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec: { rules: [rule] } },
      { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 80, targetPort: 8080 }] } },
    ];
  });
  return { apiVersion: "v1", kind: "List", items: items.flat() };
}
