import { join } from "node:path";
import { makeCertificate } from "./certificate.ts";
import type { Kubernetes } from "./kubernetes.ts";
import type { NodeNetwork } from "./node-network.ts";

const name = "metrics-server";
const namespace = "kube-system";
const port = 4443;

/**
 * Flags by which an API server proves itself, and says who asks, to others that serve a part of its API. The certificate
 * is made in `directory`.
 */
export function aggregationFlags(directory: string): string[] {
  const { certificate, key } = makeCertificate(directory, "front-proxy");
  return [
    `--requestheader-client-ca-file=${certificate}`,
    "--requestheader-allowed-names=front-proxy",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    `--proxy-client-cert-file=${certificate}`,
    `--proxy-client-key-file=${key}`,
  ];
}

/** Flags of a metrics server on the node, which asks as often as it can. */
export function metricsServerFlags({ kubeconfig, directory }: Kubernetes, { node }: NodeNetwork): string[] {
  return [
    ...["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(
      (flag) => `--${flag}=${kubeconfig}`,
    ),
    ...[`--bind-address=${node}`, `--secure-port=${port}`, `--cert-dir=${join(directory, name)}`],
    ...["--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP"],
    ...["--metric-resolution=10s", "--kubelet-request-timeout=8s"],
  ];
}

/** Has the API server ask it for metrics.k8s.io, and waits for its first figures. */
export async function serveMetrics({ kubectl }: Kubernetes, { node }: NodeNetwork): Promise<void> {
  const metadata = { name, namespace };
  const ports = [{ name: "https", port: 443, targetPort: port, protocol: "TCP" }];
  const items = [
    { apiVersion: "v1", kind: "Service", metadata, spec: { ports } },
    {
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" },
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "https", port, protocol: "TCP" }],
      endpoints: [{ addresses: [node], conditions: { ready: true } }],
    },
    {
      ...{ apiVersion: "apiregistration.k8s.io/v1", kind: "APIService" },
      metadata: { name: "v1beta1.metrics.k8s.io" },
      spec: {
        ...{ group: "metrics.k8s.io", version: "v1beta1", service: metadata, insecureSkipTLSVerify: true },
        ...{ groupPriorityMinimum: 100, versionPriority: 100 },
      },
    },
  ];
  await kubectl(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await kubectl(["wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout=90s"]);
}
