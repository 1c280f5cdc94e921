import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { metricsServerFlags, serveMetrics } from "./cluster-metrics.ts";
import { type Kubernetes, startKubernetes } from "./kubernetes.ts";
import { closeCgroups, openCgroups } from "./node-cgroups.ts";
import { cniConfig, containerdConfig, corefile, kubeletConfig, kubeProxyConfig } from "./node-config.ts";
import { type NodeNamespaces, startNodeNamespaces } from "./node-namespaces.ts";
import {
  closeNodeNetwork,
  connectNode,
  freeNodeNetwork,
  type NodeNetwork,
  openNodeNetwork,
} from "./node-network.ts";
import { type NodePrograms, requireNodePrograms } from "./node-programs.ts";
import { pauseImage } from "./pause-image.ts";
import type { Program } from "./program.ts";
import { until } from "./until.ts";

/**
 * A node of a cluster, as a machine of its own: kubelet, containerd, a Pod network, kube-proxy and CoreDNS, beside them
 * the scheduler. They run in namespaces of their own, so that interfaces, rules, mounts and processes end with it.
 */
export interface KubernetesNode {
  readonly name: string;
  readonly network: NodeNetwork;
  /** Gives it images, from an archive as `docker save` and `buildah push` write them. */
  importImages(archive: string): Promise<void>;
  /** Sends a signal to the first process of a Pod's container, which from inside could ignore it. */
  signal(namespace: string, pod: string, container: string, signal: NodeJS.Signals): Promise<void>;
  /** Has the API server know what Pods take: metrics.k8s.io, by a metrics server on the node. */
  measurePods(): Promise<void>;
  /** The end of what a program of the node has written. */
  log(program: string): string;
}

export interface NodeCluster {
  readonly plane: Kubernetes;
  readonly node: KubernetesNode;
  readonly end: () => Promise<void>;
}

export const nodeName = "node";
const readyTimeoutMs = 120_000;

/** Starts a cluster whose one node runs Pods. Root only. */
export async function startNodeCluster(): Promise<NodeCluster> {
  const programs = await requireNodePrograms();
  const network = await freeNodeNetwork();
  const ends: (() => Promise<unknown>)[] = [];
  const end = async () => {
    for (const close of ends.splice(0).reverse()) await close();
  };
  try {
    ends.push(() => closeNodeNetwork(network));
    await openNodeNetwork(network);
    const { plane, end: endPlane } = await startKubernetes({ controllers: true, network });
    ends.push(endPlane);
    const { node, end: endNode } = await startNode(plane, network, programs);
    ends.push(endNode);
    return { plane, node, end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function startNode(
  plane: Kubernetes,
  network: NodeNetwork,
  programs: NodePrograms,
): Promise<{ readonly node: KubernetesNode; readonly end: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "node-"));
  const cgroup = basename(directory);
  let namespaces: NodeNamespaces | undefined;
  const end = async () => {
    await namespaces?.end();
    await closeCgroups(cgroup);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await openCgroups(cgroup);
    namespaces = await startNodeNamespaces(directory, programs.pause);
    await connectNode(network, namespaces.pid);
    const running = await startPrograms({ plane, network, programs, directory, cgroup, namespaces });
    const { run } = namespaces;
    const ctr = (...args: readonly string[]) => run(programs.ctr, ["--namespace=k8s.io", ...args]);
    const metricsServer = basename(programs.metricsServer);
    const log = (program: string) => running.get(program)?.stderr().slice(-4000) ?? "";
    await ctr("images", "import", await pauseImage(directory, programs.pause));
    await until("the node is ready", () => isReady(plane, running), readyTimeoutMs);
    const node: KubernetesNode = {
      ...{ name: nodeName, network, log },
      async measurePods() {
        const flags = metricsServerFlags(plane, network);
        running.set(metricsServer, namespaces!.start(programs.metricsServer, flags));
        await serveMetrics(plane, network);
      },
      async importImages(archive) {
        await ctr("images", "import", archive);
      },
      async signal(namespace, pod, container, signal) {
        const labels = { "pod.namespace": namespace, "pod.name": pod, "container.name": container };
        const filter = Object.entries(labels).map(
          ([name, value]) => `labels."io.kubernetes.${name}"==${value}`,
        );
        const ids = (await ctr("containers", "list", "--quiet", filter.join(",")))
          .split("\n")
          .filter(Boolean);
        const tasks = await ctr("tasks", "list");
        const id = ids.find((each) => new RegExp(`^${each}\\s+\\d+\\s+RUNNING`, "m").test(tasks));
        if (!id) throw new Error(`${namespace}/${pod} has no running container ${container}: ${tasks}`);
        await ctr("tasks", "kill", "--signal", signal, id);
      },
    };
    return { node, end };
  } catch (error) {
    await end();
    throw error;
  }
}

interface Setting {
  readonly plane: Kubernetes;
  readonly network: NodeNetwork;
  readonly programs: NodePrograms;
  readonly directory: string;
  readonly cgroup: string;
  readonly namespaces: NodeNamespaces;
}

async function startPrograms(setting: Setting): Promise<Map<string, Program>> {
  const { plane, network, programs, directory, cgroup, namespaces } = setting;
  const running = new Map<string, Program>();
  const write = async (name: string, text: string) => {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return path;
  };
  const start = (command: string, args: readonly string[], env?: NodeJS.ProcessEnv) =>
    running.set(basename(command), namespaces.start(command, args, env));
  const kubeconfig = `--kubeconfig=${plane.kubeconfig}`;
  await write("cni/10-pods.conflist", cniConfig(network));
  const resolver = await write("resolv.conf", `nameserver ${network.node}\n`);
  const files = {
    containerd: await write("containerd.toml", containerdConfig(programs, directory)),
    kubelet: await write("kubelet.json", kubeletConfig({ network, cgroup, resolver })),
    kubeProxy: await write("kube-proxy.json", kubeProxyConfig(plane.kubeconfig, network)),
    corefile: await write("Corefile", corefile(plane.kubeconfig, network)),
  };
  // It looks for the shim in PATH.
  const path = `${dirname(programs.containerdShim)}:${process.env.PATH}`;
  start(programs.containerd, ["--config", files.containerd], { PATH: path });
  await until("containerd answers", () => namespaces.run(programs.ctr, ["version"]));
  start(programs.coredns, ["-conf", files.corefile]);
  start(programs.kubelet, [
    ...[`--config=${files.kubelet}`, kubeconfig, `--hostname-override=${nodeName}`],
    `--node-ip=${network.node}`,
  ]);
  start(programs.kubeProxy, [`--config=${files.kubeProxy}`]);
  start(programs.scheduler, [kubeconfig, "--leader-elect=false", "--secure-port=0"]);
  return running;
}

async function isReady(plane: Kubernetes, running: ReadonlyMap<string, Program>): Promise<boolean> {
  for (const [name, program] of running) {
    const gone = await Promise.race([program.ended.then(() => true), Promise.resolve(false)]);
    if (gone) throw new Error(`${name} ended:\n${program.stderr().slice(-3000)}`);
  }
  const condition = `{.status.conditions[?(@.type=="Ready")].status}`;
  return (await plane.kubectl(["get", "node", nodeName, "-o", `jsonpath=${condition}`])) === "True";
}
