import { type Log, silentLog } from "../../src/log.ts";
import { requireGoPrograms } from "./go-programs.ts";

/** Kubernetes' own programs, as absolute paths. */
export interface KubernetesPrograms {
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

/** What Kubernetes' programs are told of themselves: helm asks for it. As in go.mod. */
export const kubernetesVersion = { "k8s.io/component-base/version.gitVersion": "v1.36.3" };

const names = ["kube-apiserver", "kube-controller-manager", "kubectl"];

let required: Promise<KubernetesPrograms> | undefined;

/** Kubernetes' programs. */
export function requireKubernetes(log: Log = silentLog): Promise<KubernetesPrograms> {
  const packages = names.map((name) => `k8s.io/kubernetes/cmd/${name}`);
  const programs = { module: "kubernetes", packages, minutes: 8, variables: kubernetesVersion };
  required ??= requireGoPrograms(programs, log).then(([apiServer, controllerManager, kubectl]) => ({
    ...{ apiServer: apiServer!, controllerManager: controllerManager!, kubectl: kubectl! },
  }));
  return required;
}
