import { fileURLToPath } from "node:url";
import { type NodeCluster, startNodeCluster } from "../peers/kubernetes-node.ts";
import { freePort } from "../peers/ports.ts";
import { startWasmline } from "../peers/program.ts";
import { wasmlineImages } from "../peers/wasmline-image.ts";
import { chart, runHelm } from "./charts.ts";

/** Where the chart is installed. */
export const namespace = "higress-system";
/** Where its users' services are. */
export const shop = "higress-course";
/** The chapter's registry, which is one of this test's here. */
const registryName = "higress-registry.cn-hangzhou.cr.aliyuncs.com";
const layout = fileURLToPath(new URL("../../build/images", import.meta.url));

/** The releases of a cluster with a node: all of the chart with the embedded gateway, and a second set of gateways, Envoys. */
export const releases = ["edge", "envoy"] as const;
export type ReleaseName = (typeof releases)[number];

export interface InstalledChart extends NodeCluster {
  /** The image that all that is not Envoy is made of. */
  readonly image: string;
  /** Runs a command of helm on a release, with values over those that it was installed with. */
  helm(command: "install" | "upgrade", release: ReleaseName, values?: object): Promise<void>;
}

/** A cluster with a node that has the images, a registry that its Pods reach, and nothing installed. */
export async function startChartCluster(): Promise<InstalledChart> {
  const images = await wasmlineImages();
  const cluster = await startNodeCluster();
  const { plane, node } = cluster;
  const port = await freePort();
  const at = ["--bind", node.network.machine, "--registry-port", `${port}`];
  const registry = startWasmline(["registry", ...at, "--layout", layout]);
  const end = async () => {
    await registry.stop();
    await cluster.end();
  };
  try {
    await registry.waitFor("stderr", /registry is up/);
    const measured = node.measurePods();
    // Whoever waits for it hears of it.
    measured.catch(() => {});
    await node.importImages(images.wasmline);
    await node.importImages(images.wasmlineEnvoy);
    await measured;
  } catch (error) {
    await end();
    throw error;
  }
  const all = {
    image: { repository: "localhost/wasmline", tag: images.tag },
    // There are more Pods than two cores would take at the requests of an installation.
    core: { ingressClass: "", resources: small },
    discovery: { drainSeconds: 5, resources: small },
    gateway: {
      ...{ drainSeconds: 5, resources: small, agentResources: small },
      envoyImage: { repository: "localhost/wasmline-envoy", tag: images.tag },
      agentExtraArgs: [
        `--registry-mirror=${registryName}=${node.network.machine}:${port}`,
        `--insecure-registry=${node.network.machine}:${port}`,
      ],
    },
  };
  return {
    ...cluster,
    end,
    image: `localhost/wasmline:${images.tag}`,
    async helm(command, release, values = {}) {
      const where = [`--namespace=${namespace}`, `--kubeconfig=${plane.kubeconfig}`];
      const args = [command, release, chart, ...where];
      const own = release === "envoy" ? mergeValues(all, secondGateways) : all;
      const { status, stderr } = await runHelm(args, mergeValues(own, values));
      if (status !== 0) throw new Error(`helm ${command} ${release}: ${stderr}`);
    },
  };
}

const small = { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "1Gi" } };

/** A second set of gateways behind the first release, as the guide has it. */
const secondGateways = {
  core: { enabled: false },
  discovery: { enabled: false },
  gatewaySelector: { value: `${namespace}-edge-wasmline-gateway` },
  gateway: {
    kind: "envoy",
    discovery: `edge-wasmline-discovery.${namespace}.svc:15012`,
    ca: { secret: "edge-wasmline-discovery-tls" },
  },
};

type Values = Readonly<Record<string, unknown>>;

export function mergeValues(values: object, over: object): object {
  const merged: Record<string, unknown> = { ...values };
  for (const [name, value] of Object.entries(over))
    merged[name] = isValues(value) && isValues(merged[name]) ? mergeValues(merged[name], value) : value;
  return merged;
}

function isValues(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
