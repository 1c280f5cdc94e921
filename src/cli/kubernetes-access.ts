import type { Command } from "commander";
import { connectKubernetes, type KubernetesClient } from "../kubernetes/client.ts";
import { addOption, integer } from "./options.ts";

/** Which cluster, and as whom. */
export interface KubernetesAccessFlags {
  readonly kubeconfig: string | undefined;
  readonly kubeContext: string | undefined;
  readonly kubeQps: number;
  readonly kubeBurst: number;
}

/** Adds the flags that say how the Kubernetes API is reached; once, where several parts of a command need it. */
export function addKubernetesAccessOptions(command: Command): void {
  if (command.options.some(({ long }) => long === "--kubeconfig")) return;
  addOption(
    command,
    "--kubeconfig <path>",
    "how to reach the Kubernetes API; as kubectl finds it unless said, or the pod's own ServiceAccount",
  );
  addOption(command, "--kube-context <name>", "a context of the kubeconfig other than its current one");
  addOption(command, "--kube-qps <n>", "requests a second to the Kubernetes API", (option) =>
    option.default(80).argParser(integer(1, 10_000)),
  );
  addOption(command, "--kube-burst <n>", "requests to the Kubernetes API at once", (option) =>
    option.default(160).argParser(integer(1, 100_000)),
  );
}

/**
 * A client as the flags say.
 * @throws SystemError("not-found") where they name no cluster
 */
export function connectByFlags(flags: KubernetesAccessFlags): Promise<KubernetesClient> {
  const { kubeconfig, kubeContext: context, kubeQps: perSecond, kubeBurst: burst } = flags;
  return connectKubernetes({ kubeconfig, context, perSecond, burst });
}
