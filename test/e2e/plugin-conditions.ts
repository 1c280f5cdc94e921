import type { Kubernetes } from "../peers/kubernetes.ts";
import { systemNamespace as namespace } from "../peers/kubernetes-core.ts";
import { until } from "../peers/until.ts";

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** A WasmPlugin with its status, as the API server has it. */
export interface Plugin {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly status?: {
    readonly conditions: readonly Condition[];
    readonly gateways?: object;
    readonly module?: object;
  };
}

/** A plugin of the system's namespace. */
export async function getPlugin(plane: Kubernetes, name: string): Promise<Plugin> {
  return JSON.parse(await plane.kubectl(["get", "wasmplugin", name, "-n", namespace, "-o", "json"]));
}

/** The conditions of a plugin, each as `type=status reason: message`, once they speak of its newest version. */
async function conditionsOf(plane: Kubernetes, name: string): Promise<string[] | undefined> {
  const { metadata, status } = await getPlugin(plane, name);
  if (!status?.conditions.every((one) => one.observedGeneration === metadata.generation)) return undefined;
  return status.conditions.map((one) => `${one.type}=${one.status} ${one.reason}: ${one.message}`);
}

/** Waits until the conditions speak of the newest version, all three, and each pattern is found among `type=status reason: message`. */
export async function untilConditions(
  plane: Kubernetes,
  name: string,
  ...expected: readonly RegExp[]
): Promise<void> {
  let last: readonly string[] | undefined;
  await until(`${name} has ${expected}`, async () => {
    last = await conditionsOf(plane, name);
    return last?.length === 3 && expected.every((pattern) => last!.some((text) => pattern.test(text)));
  }).catch((error) => {
    throw new Error(`${error.message}; it has\n${last?.join("\n")}`);
  });
}
