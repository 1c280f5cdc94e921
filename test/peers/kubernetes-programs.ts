import { type Log, silentLog } from "../../src/log.ts";
import { requireGoPrograms } from "./go-programs.ts";

/** Kubernetes' own programs, as absolute paths. */
export interface KubernetesPrograms {
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

const names = ["kube-apiserver", "kube-controller-manager", "kubectl"];

let required: Promise<KubernetesPrograms> | undefined;

/** Kubernetes' programs. */
export function requireKubernetes(log: Log = silentLog): Promise<KubernetesPrograms> {
  const packages = names.map((name) => `k8s.io/kubernetes/cmd/${name}`);
  required ??= requireGoPrograms({ module: "kubernetes", packages, minutes: 8 }, log).then(
    ([apiServer, controllerManager, kubectl]) => ({
      ...{ apiServer: apiServer!, controllerManager: controllerManager!, kubectl: kubectl! },
    }),
  );
  return required;
}
