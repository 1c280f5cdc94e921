// A large cluster as the source: a real etcd and kube-apiserver, core and discovery as programs of their own, and clients
// in the place of gateways, which ask for every plugin.
//   node --import tsx bench/kubernetes-scale.ts [plugins=5000] [ingresses=2000] [rules=10] [edits=20] [clients=2]
// The reference: Kubernetes → Higress → its pilot 232 ms from an edit to ECDS alone.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { connectKubernetes } from "../src/kubernetes/client.ts";
import { loadYaml } from "../src/resource/yaml.ts";
import { startKubernetes } from "../test/peers/kubernetes.ts";
import { freePortOffset } from "../test/peers/ports.ts";
import { startWasmline } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { prepareCluster } from "../test/peers/seed-in-cluster.ts";
import { until } from "../test/peers/until.ts";
import { cpuMs, residentMiB } from "./cpu.ts";
import { distribution } from "./distribution.ts";
import { pluginText } from "./generate-plugins.ts";

const [plugins = 5000, ingresses = 2000, rules = 10, edits = 20, clients = 2] = process.argv
  .slice(2)
  .map(Number);
const pluginsPath = "/apis/extensions.higress.io/v1alpha1/namespaces/higress-system/wasmplugins";

const { plane, end } = await startKubernetes();
const api = await connectKubernetes({ kubeconfig: plane.kubeconfig, perSecond: 10_000, burst: 10_000 });

const pluginOf = (index: number, edit = 0) => {
  const text = pluginText(index, rules).replace(/limit: \d+/, `limit: ${edit || 1}`);
  const loaded = loadYaml(text);
  if (!("value" in loaded)) throw new Error("the generated plugin is broken");
  return loaded.value as { readonly spec: object };
};

const ingressOf = (index: number) => ({
  ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: `ingress-${index}` } },
  spec: {
    ingressClassName: "higress",
    rules: [
      {
        host: `h${index}.example.com`,
        http: {
          paths: [
            {
              ...{ path: "/", pathType: "Prefix" },
              backend: { service: { name: `service-${index % 200}`, port: { number: 80 } } },
            },
          ],
        },
      },
    ],
  },
});

const serviceOf = (index: number) => ({
  ...{ apiVersion: "v1", kind: "Service", metadata: { name: `service-${index}` } },
  spec: { ports: [{ port: 80 }] },
});

/** Creates objects, 32 at a time. */
async function createAll(count: number, path: string, bodyOf: (index: number) => object): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await api.request("POST", path, { body: bodyOf(next++) });
  };
  await Promise.all(Array.from({ length: 32 }, work));
}

/** How many requests the API server has had, watches among them when they end. */
async function requestCount(): Promise<number> {
  const text = await plane.kubectl(["get", "--raw", "/metrics"]);
  const counts = [...text.matchAll(/^apiserver_request_total\{([^}]*)\} (\d+)/gm)]
    .filter(([, labels]) =>
      /resource="(wasmplugins|ingresses|services|endpointslices|secrets|ingressclasses)"/.test(labels!),
    )
    .filter(([, labels]) => /verb="(LIST|WATCH|GET)"/.test(labels!));
  return counts.reduce((sum, [, , count]) => sum + Number(count), 0);
}

try {
  await prepareCluster(plane);
  const creating = performance.now();
  await createAll(plugins, pluginsPath, (index) => pluginOf(index));
  await createAll(ingresses, "/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingressOf);
  await createAll(200, "/api/v1/namespaces/default/services", serviceOf);
  const seconds = ((performance.now() - creating) / 1000).toFixed(0);
  console.log(
    `${plugins} plugins of ${rules} rules, ${ingresses} Ingresses, 200 Services; made in ${seconds} s`,
  );

  const offset = await freePortOffset();
  const flags = ["--port-offset", String(offset), "--log-level", "error"];
  const before = await requestCount();
  const starting = performance.now();
  const core = startWasmline(["core", "--source", "kubernetes", "--kubeconfig", plane.kubeconfig, ...flags]);
  await until("core is ready", async () => (await get(8888 + offset, "/ready")).status === 200, 120_000);
  const synced = (performance.now() - starting) / 1000;
  console.log(
    `core from its start to the first sync   ${synced.toFixed(2)} s, CPU ${(cpuMs(core.pid) / 1000).toFixed(2)} s`,
  );
  console.log(`  requests to the API server            ${(await requestCount()) - before} that have ended`);
  const discovery = startWasmline(["discovery", ...flags]);
  await until(
    "discovery is ready",
    async () => (await get(15014 + offset, "/ready")).status === 200,
    120_000,
  );

  const ads = spawn(
    process.execPath,
    ["--import", "tsx", new URL("ads-clients.ts", import.meta.url).pathname].concat(
      [15010 + offset, clients, plugins].map(String),
    ),
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const lines = createInterface({ input: ads.stdout })[Symbol.asyncIterator]();
  const nextLine = async () => JSON.parse((await lines.next()).value as string);
  const first = await nextLine();
  console.log(
    `core, discovery and ${clients} clients in sync    ${((performance.now() - starting) / 1000).toFixed(2)} s, ${first.resources} resources`,
  );

  const memory = () =>
    `core ${residentMiB(core.pid).toFixed(0)} MiB, discovery ${residentMiB(discovery.pid).toFixed(0)} MiB`;
  const peak = async (pid: number) =>
    Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  await until("memory is at rest", unchangedFor(memory, 4000), 60_000);
  console.log(
    `resident memory at rest                 ${memory()}; core's peak ${(await peak(core.pid)).toFixed(0)} MiB`,
  );

  const times: number[] = [];
  let resources = 0;
  const requestsBefore = await requestCount();
  const cpuBefore = cpuMs(core.pid);
  for (let edit = 1; edit <= edits; edit++) {
    const index = (edit * 37) % plugins;
    ads.stdin.write("\n");
    await nextLine();
    const saved = performance.timeOrigin + performance.now();
    await api.request("PATCH", `${pluginsPath}/plugin-${index}`, {
      body: { spec: pluginOf(index, 1_000_000 + edit).spec },
      contentType: "application/merge-patch+json",
    });
    const { lastMs, resources: received } = await nextLine();
    times.push(lastMs - saved);
    resources += received;
  }
  console.log(`${edits} edits; ms from the request to the last client  ${distribution(times)}`);
  console.log(`  resources on the wire      ${resources / edits / clients} for each client and edit`);
  console.log(
    `  CPU of core                ${((cpuMs(core.pid) - cpuBefore) / edits).toFixed(1)} ms for each edit`,
  );
  console.log(`  requests of core           ${(await requestCount()) - requestsBefore} in all`);

  const routes = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
  const cpuOfIngresses = cpuMs(core.pid);
  for (let edit = 0; edit < edits; edit++) {
    const { spec } = ingressOf(edit);
    const body = { spec: { ...spec, rules: [{ ...spec.rules[0], host: `edited-${edit}.example.com` }] } };
    await api.request("PATCH", `${routes}/ingress-${edit}`, {
      body,
      contentType: "application/merge-patch+json",
    });
    await until(
      "core is idle",
      unchangedFor(() => cpuMs(core.pid), 200),
    );
  }
  const perIngress = (cpuMs(core.pid) - cpuOfIngresses) / edits;
  console.log(`${edits} edits of an Ingress`);
  console.log(`  CPU of core                ${perIngress.toFixed(1)} ms for each edit`);
  console.log(`  resident memory            ${memory()}`);
  ads.kill();
  await Promise.all([core.stop(), discovery.stop()]);
} finally {
  await end();
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
