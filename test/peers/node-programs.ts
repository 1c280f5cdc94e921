import { type Log, silentLog } from "../../src/log.ts";
import { requireGoPrograms } from "./go-programs.ts";
import { kubernetesVersion } from "./kubernetes-programs.ts";
import { requirePackages } from "./peers.ts";

/** What a node of Kubernetes runs, as absolute paths. */
export interface NodePrograms {
  readonly kubelet: string;
  readonly kubeProxy: string;
  readonly scheduler: string;
  /** Waits, and is all that is in a Pod's first container. */
  readonly pause: string;
  readonly containerd: string;
  readonly containerdShim: string;
  readonly ctr: string;
  /** A plugin of CNI; the others are beside it. */
  readonly ptp: string;
  readonly coredns: string;
  /** Asks kubelets what their Pods take, and serves it as the API metrics.k8s.io. */
  readonly metricsServer: string;
  readonly runc: string;
}

/** Debian's packages for a node, and a command of each. */
const debianPackages = { runc: "runc", iptables: "iptables", iproute2: "ip" };

const kubernetes = ["kubelet", "kube-proxy", "kube-scheduler"].map((name) => `k8s.io/kubernetes/cmd/${name}`);
const containerd = ["containerd", "containerd-shim-runc-v2", "ctr"];
const cniPlugins = ["main/ptp", "main/loopback", "ipam/host-local", "meta/portmap"];

let required: Promise<NodePrograms> | undefined;

/** A node's programs; about five minutes of two cores where they are not in the cache. */
export function requireNodePrograms(log: Log = silentLog): Promise<NodePrograms> {
  required ??= find(log);
  return required;
}

async function find(log: Log): Promise<NodePrograms> {
  const { runc } = await requirePackages(debianPackages, log);
  const packages = [...kubernetes, "./pause"];
  const [kubelet, kubeProxy, scheduler, pause] = await requireGoPrograms(
    { module: "kubernetes-node", packages, minutes: 5, variables: kubernetesVersion },
    log,
  );
  const runtime = [
    ...containerd.map((name) => `github.com/containerd/containerd/v2/cmd/${name}`),
    ...cniPlugins.map((name) => `github.com/containernetworking/plugins/plugins/${name}`),
  ];
  const [daemon, containerdShim, ctr, ptp] = await requireGoPrograms(
    { module: "container-runtime", packages: runtime, minutes: 2 },
    log,
  );
  const [coredns] = await requireGoPrograms(
    { module: "cluster-dns", packages: ["./coredns"], minutes: 2 },
    log,
  );
  const [metricsServer] = await requireGoPrograms(
    {
      module: "cluster-metrics",
      packages: ["sigs.k8s.io/metrics-server/cmd/metrics-server"],
      minutes: 2,
    },
    log,
  );
  return {
    ...{ kubelet: kubelet!, kubeProxy: kubeProxy!, scheduler: scheduler!, pause: pause!, ptp: ptp! },
    ...{ containerd: daemon!, containerdShim: containerdShim!, ctr: ctr!, coredns: coredns!, runc: runc! },
    metricsServer: metricsServer!,
  };
}
