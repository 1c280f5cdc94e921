import { until } from "../peers/until.ts";
import { type InstalledChart, namespace } from "./installed-chart.ts";

/** Of a Pod what the node makes of it. */
export interface RunningPod {
  readonly name: string;
  readonly deployment: string;
  /** Empty until it has one. */
  readonly address: string;
  readonly isReady: boolean;
  readonly isEnding: boolean;
  /** Of all its containers. */
  readonly restarts: number;
}

interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly deletionTimestamp?: string;
    readonly ownerReferences: readonly [{ readonly name: string }];
  };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

/** The Pods of all releases. */
export async function readPods({ plane }: InstalledChart): Promise<RunningPod[]> {
  const { items } = JSON.parse(await plane.kubectl(["get", "pods", "-n", namespace, "-o", "json"])) as {
    readonly items: readonly Pod[];
  };
  return items.map(({ metadata, status }) => ({
    name: metadata.name,
    deployment: metadata.ownerReferences[0].name.replace(/-[^-]+$/, ""),
    address: status.podIP ?? "",
    isReady: status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false,
    isEnding: metadata.deletionTimestamp !== undefined,
    restarts: (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
  }));
}

/** Kills a container of one of a Deployment's Pods. Gives what waits until kubelet has started it again. */
export async function killContainer(
  cluster: InstalledChart,
  deployment: string,
  container: string,
  signal: NodeJS.Signals = "SIGKILL",
): Promise<() => Promise<void>> {
  const pod = (await readPods(cluster)).find((each) => each.deployment === deployment);
  if (!pod) throw new Error(`${deployment} has no Pods`);
  await cluster.node.signal(namespace, pod.name, container, signal);
  return async () => {
    await until(
      `${container} of ${pod.name} is started again`,
      async () => {
        const now = (await readPods(cluster)).find(({ name }) => name === pod.name);
        return now && now.restarts > pod.restarts;
      },
      180_000,
    );
  };
}
