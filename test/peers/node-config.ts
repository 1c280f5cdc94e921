import { dirname, join } from "node:path";
import type { NodeNetwork } from "./node-network.ts";
import type { NodePrograms } from "./node-programs.ts";

/** What the first container of each Pod is made of. */
export const pauseImageName = "test.invalid/pause:1";
const clusterDomain = "cluster.local";

/** A network of Pods, each on a line of its own to the node. */
export function cniConfig({ pods }: NodeNetwork): string {
  const ipam = { type: "host-local", ranges: [[{ subnet: pods }]], routes: [{ dst: "0.0.0.0/0" }] };
  const plugins = [
    { type: "ptp", ipam },
    { type: "portmap", capabilities: { portMappings: true } },
  ];
  return JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins });
}

export function containerdConfig({ ptp, runc }: NodePrograms, directory: string): string {
  const cri = "plugins.'io.containerd.cri.v1";
  return `version = 3
[plugins.'io.containerd.internal.v1.opt']
  path = '${join(directory, "opt")}'
[${cri}.images']
  snapshotter = 'overlayfs'
[${cri}.images'.pinned_images]
  sandbox = '${pauseImageName}'
[${cri}.runtime']
  # A root of few rights may not make itself less likely to be killed.
  restrict_oom_score_adj = true
[${cri}.runtime'.cni]
  bin_dirs = ['${dirname(ptp)}']
  conf_dir = '${join(directory, "cni")}'
[${cri}.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[${cri}.runtime'.containerd.runtimes.runc.options]
  BinaryName = '${runc}'
  SystemdCgroup = false
`;
}

export interface KubeletSetting {
  readonly network: NodeNetwork;
  readonly cgroup: string;
  /** A resolv.conf for Pods that want their node's. */
  readonly resolver: string;
}

export function kubeletConfig({ network, cgroup, resolver }: KubeletSetting): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    // Nobody but this machine reaches it.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    address: network.node,
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    clusterDNS: [network.node],
    clusterDomain,
    resolvConf: resolver,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    // The machine's disk is not this node's.
    evictionHard: { "memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
    imageGCHighThresholdPercent: 100,
    readOnlyPort: 0,
  });
}

export function kubeProxyConfig(kubeconfig: string, { pods }: NodeNetwork): string {
  return JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig },
    mode: "iptables",
    clusterCIDR: pods,
    // These are settings of the whole machine's kernel.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    hostnameOverride: "node",
  });
}

export function corefile(kubeconfig: string, { node }: NodeNetwork): string {
  return `.:53 {
  errors
  ready ${node}:8181
  kubernetes ${clusterDomain} in-addr.arpa ip6.arpa {
    kubeconfig ${kubeconfig}
    pods insecure
    ttl 30
  }
  cache 30
}
`;
}
