// A large cluster as the source: a real etcd and kube-apiserver, and every role a program of its own.
//   node --import tsx bench/kubernetes-scale.ts [plugins=5000] [ingresses=2000] [rules=10] [edits=200] [ingressEdits=100]
// First all plugins in one namespace, through core and discovery to two clients that ask for every one of them. Then an
// Envoy and the embedded gateway. No gateway runs 5,000 plugins for each request, and core gives each gateway all those
// of its namespace, so these two are of another installation in the same cluster: 40 plugins are in effect there, and its
// core reads all others, and all Ingresses, as well. They are on one core and discovery, as two machines (network
// namespaces, which take root): an edit counts when both answer by it.
// With --status core writes the plugins' status as well, from what discovery reports: thousands at first, a few in a
// second, and then one for an edit. With --core only the first part, with --gateways only the second.
// The reference: Kubernetes → Higress → its pilot 232 ms from an edit to ECDS alone.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { connectKubernetes } from "../src/kubernetes/client.ts";
import { freePortOffset } from "../test/peers/ports.ts";
import { type Program, startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { prepareCluster } from "../test/peers/seed-in-cluster.ts";
import { until } from "../test/peers/until.ts";
import { startAuditedCluster } from "./audited-cluster.ts";
import {
  answeringPlugin,
  createAll,
  ingressesPath,
  ingressOf,
  patchSpec,
  pluginOf,
  pluginsIn,
  serviceCount,
  serviceOf,
  servicesPath,
  sliceOf,
  slicesPath,
} from "./cluster-objects.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { startGatewayPair } from "./gateway-pair.ts";

const [plugins = 5000, ingresses = 2000, rules = 10, edits = 200, ingressEdits = 100] = process.argv
  .slice(2)
  .filter((argument) => !argument.startsWith("--"))
  .map(Number);
const writesStatus = process.argv.includes("--status");
const statusFlags = writesStatus ? [] : ["--no-write-status"];
const clients = 2;
const chainLength = 40;
const edge = "higress-edge";

process.setMaxListeners(30);
const cluster = await startAuditedCluster(["core", "edge"]);
const { plane } = cluster;
const api = await connectKubernetes({ kubeconfig: plane.kubeconfig, perSecond: 10_000, burst: 10_000 });

function print(what: string, figure: string, required = ""): void {
  console.log(`${what.padEnd(52)} ${figure}${required && `   (required: ${required})`}`);
}

const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(2);

async function fillCluster(): Promise<void> {
  const began = performance.now();
  await prepareCluster(plane);
  await plane.kubectl(["create", "namespace", edge]);
  await createAll(api, serviceCount, servicesPath, serviceOf);
  await createAll(api, serviceCount, slicesPath, sliceOf);
  await createAll(api, ingresses, ingressesPath, (index) => ingressOf(index));
  await createAll(api, plugins, pluginsIn("higress-system"), (index) => pluginOf(index, rules));
  print(
    `${plugins} plugins of ${rules} rules, ${ingresses} Ingresses`,
    `and ${serviceCount} Services made in ${seconds(began)} s`,
  );
}

/** The first part: all plugins, to clients that want them all. */
async function measureAllPlugins(): Promise<void> {
  const offset = await freePortOffset();
  const flags = ["--port-offset", String(offset), "--log-level", "error"];
  const kubeconfig = await cluster.reader("core");
  const starting = performance.now();
  const core = startWasmline([
    "core",
    "--source",
    "kubernetes",
    "--kubeconfig",
    kubeconfig,
    ...statusFlags,
    ...(writesStatus ? ["--discovery-status", `http://127.0.0.1:${15014 + offset}`] : []),
    ...flags,
  ]);
  await isReady(8888 + offset);
  print(
    "core: start to first sync",
    `${seconds(starting)} s, CPU ${(cpuMs(core.pid) / 1000).toFixed(2)} s`,
    "below 10 s",
  );
  const discovery = startWasmline(["discovery", ...flags]);
  await isReady(15014 + offset);
  const ads = startClients(15010 + offset);
  const { resources } = await ads.next();
  print("core, discovery and clients in sync", `${seconds(starting)} s, ${resources} resources`);
  await until(
    "core is at rest",
    // Its memory alone also stays the same while it writes thousands of statuses.
    unchangedFor(() => `${residentMiB(core.pid).toFixed(0)} ${(cpuMs(core.pid) / 200).toFixed(0)}`, 4000),
    240_000,
  );
  print("core at rest", `${await memoryOf(core)}; discovery ${await memoryOf(discovery)}`, "below 400 MiB");
  print("requests of core to the API server so far", (await cluster.requestsOf("core")).verbs);
  await editPlugins(ads, core, discovery);
  await editIngresses(core, discovery);
  await ads.stop();
  await Promise.all([core.stop(), discovery.stop()]);
}

const isReady = (port: number) =>
  until("it is ready", async () => (await get(port, "/ready")).status === 200, 120_000);

async function memoryOf({ pid }: Program): Promise<string> {
  const peak = Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  return `${residentMiB(pid).toFixed(0)} MiB (peak so far ${peak.toFixed(0)})`;
}

function startClients(port: number) {
  const program = new URL("ads-clients.ts", import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    ["--import", "tsx", program].concat([port, clients, plugins].map(String)),
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => JSON.parse((await lines.next()).value as string),
    expect: () => void child.stdin.write("\n"),
    stop: async () => void child.kill(),
  };
}

async function editPlugins(
  ads: ReturnType<typeof startClients>,
  core: Program,
  discovery: Program,
): Promise<void> {
  const times: number[] = [];
  let resources = 0;
  const cpu = startCpu(core, discovery);
  let most = 0;
  for (let edit = 1; edit <= edits; edit++) {
    const index = (edit * 37) % plugins;
    ads.expect();
    await ads.next();
    const saved = performance.timeOrigin + performance.now();
    await patchSpec(
      api,
      `${pluginsIn("higress-system")}/plugin-${index}`,
      pluginOf(index, rules, 1_000_000 + edit).spec,
    );
    const { lastMs, resources: received } = await ads.next();
    times.push(lastMs - saved);
    resources += received;
    most = Math.max(most, residentMiB(core.pid));
  }
  print(`${edits} edits of a plugin, to the last client, ms`, distribution(times), "below 100; Higress 232");
  print("  resources on the wire, each client and edit", String(resources / edits / clients), "1");
  await reportEdits(edits, cpu, most, core);
}

async function editIngresses(core: Program, discovery: Program): Promise<void> {
  const cpu = startCpu(core, discovery);
  let most = 0;
  for (let edit = 0; edit < ingressEdits; edit++) {
    await patchSpec(api, `${ingressesPath}/ingress-${edit}`, ingressOf(edit, `e${edit}.example.com`).spec);
    most = Math.max(most, residentMiB(core.pid));
    await until(
      "core and discovery are idle",
      unchangedFor(() => cpuMs(core.pid) + cpuMs(discovery.pid), 150),
    );
    most = Math.max(most, residentMiB(core.pid));
  }
  print(`${ingressEdits} edits of an Ingress`, "each to another host");
  await reportEdits(ingressEdits, cpu, most, core);
}

function startCpu(...programs: readonly Program[]): () => string {
  const before = programs.map(({ pid }) => cpuMs(pid));
  return () => programs.map(({ pid }, index) => cpuMs(pid) - before[index]!).join(" ");
}

async function reportEdits(count: number, cpu: () => string, most: number, core: Program): Promise<void> {
  const each = cpu()
    .split(" ")
    .map((ms) => (Number(ms) / count).toFixed(1));
  print("  CPU for each edit", `core ${each[0]} ms, discovery ${each[1]} ms`);
  print(
    "  core's memory, the most during the edits",
    `${most.toFixed(0)} MiB, now ${await memoryOf(core)}`,
    "below 400 MiB",
  );
  const { verbs } = await cluster.requestsOf("core");
  print("  requests of core to the API server", verbs, "none but watches begun anew");
}

/** The second part: from an edit to answers of both gateways. */
async function measureGateways(): Promise<void> {
  const kubeconfig = await cluster.reader("edge");
  const host = "plugin.example.com";
  const answering = (index: number, value: string) =>
    index === 0
      ? answeringPlugin("answer-0", 1, host, value)
      : answeringPlugin(`answer-${index}`, 1 + index, `other-${index}.example.com`, value);
  await createAll(api, chainLength, pluginsIn(edge), (index) => answering(index, "first"));
  const coreFlags = ["--source", "kubernetes", "--kubeconfig", kubeconfig, "--namespace", edge];
  const starting = performance.now();
  const pair = await startGatewayPair(
    [...coreFlags, ...statusFlags, "--log-level", "error"],
    ["--root-namespace", edge],
  );
  try {
    const onBoth = async (wanted: string, passes: Parameters<(typeof pair.gateways)[0]["waitFor"]>[1]) => {
      const began = performance.now();
      const moments = await Promise.all(pair.gateways.map(({ waitFor }) => waitFor(wanted, passes)));
      return moments.map((moment) => moment - began);
    };
    await api.request("POST", servicesPath, {
      body: {
        ...{ apiVersion: "v1", kind: "Service", metadata: { name: "upstream" } },
        spec: {
          ...{ type: "ExternalName", externalName: pair.upstream.address },
          ports: [{ port: pair.upstream.port }],
        },
      },
    });
    await onBoth(host, ({ headers }) => headers.key1 === "first");
    print(
      `both gateways answer by a chain of ${chainLength} plugins`,
      `${seconds(starting)} s after their start`,
    );
    // Some seconds after its start a role gives the memory of it back: a pause that edits later do not meet.
    await pause(5000);
    await cluster.requestsOf("edge");

    const report = async (what: string, count: number, edit: (index: number) => Promise<number[]>) => {
      const times: number[][] = [];
      const pids = await Promise.all(pair.gateways.map(({ roles }) => roles.gatewayPid()));
      const all = [...pids, ...pair.gateways.map(({ roles }) => roles.pidOf("agent")), ...pair.controlPids];
      const before = all.map(cpuMs);
      for (let index = 0; index < count; index++) times.push(await edit(index));
      const cpu = all.map((pid, at) => ((cpuMs(pid) - before[at]!) / count).toFixed(1));
      print(
        `${count} edits of ${what}, to the answer of both, ms`,
        distribution(times.map((both) => Math.max(...both))),
        "below 100",
      );
      for (const [at, { name }] of pair.gateways.entries())
        print(
          `  of the ${name} one`,
          `${distribution(times.map((both) => both[at]!))}  (its CPU ${cpu[at]} ms, requests included; its agent's ${cpu[pids.length + at]})`,
        );
      print("  CPU of core and of discovery", `${cpu.slice(2 * pids.length).join(" ")} ms`);
      const { verbs } = await cluster.requestsOf("edge");
      print("  requests of core to the API server", verbs, "none but watches begun anew");
    };
    await report("a plugin", Math.min(edits, 50), async (index) => {
      const value = `edit-${index}`;
      const answered = onBoth(host, ({ headers }) => headers.key1 === value);
      await patchSpec(api, `${pluginsIn(edge)}/answer-0`, answering(0, value).spec);
      return answered;
    });
    await report("an Ingress", Math.min(ingressEdits, 50), async (index) => {
      const name = `edge-${index}.example.com`;
      const { spec } = ingressOf(index, name, "upstream", pair.upstream.port);
      const answered = onBoth(name, ({ status }) => status === 200);
      await patchSpec(api, `${ingressesPath}/ingress-${index}`, spec);
      return answered;
    });
  } finally {
    await pair.close();
  }
}

/** Whether a reading has stayed the same for a while. */
function unchangedFor<T>(read: () => T, ms: number): () => boolean {
  let last: T | undefined;
  let since = performance.now();
  return () => {
    const now = read();
    if (now !== last) since = performance.now();
    last = now;
    return performance.now() - since > ms;
  };
}

try {
  await fillCluster();
  if (!process.argv.includes("--gateways")) await measureAllPlugins();
  if (!process.argv.includes("--core")) await measureGateways();
} finally {
  await cluster.end();
}
