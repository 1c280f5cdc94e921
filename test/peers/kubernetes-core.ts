import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Kubernetes } from "./kubernetes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where the system's own objects are. */
export const systemNamespace = "higress-system";

/** What core may do in a cluster, and no more: what it reads everywhere, and what it writes of statuses and events. */
export const coreClusterRules = [
  {
    apiGroups: ["extensions.higress.io"],
    resources: ["wasmplugins"],
    verbs: ["get", "list", "watch"],
  },
  { apiGroups: ["extensions.higress.io"], resources: ["wasmplugins/status"], verbs: ["patch"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["ingresses", "ingressclasses"],
    verbs: ["get", "list", "watch"],
  },
  { apiGroups: [""], resources: ["services", "secrets"], verbs: ["get", "list", "watch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["get", "list", "watch"] },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"] },
] as const;

/** What core may do in its own namespace: the Lease of its election. */
export const coreLeaseRules = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: ["wasmline-core"],
    verbs: ["get", "update"],
  },
] as const;

/** Puts the CRD and the system's namespace into a cluster. */
export async function installCrds(plane: Kubernetes): Promise<void> {
  const crd = await readFile(`${root}/api/crds/wasmplugins.extensions.higress.io.yaml`, "utf8");
  await plane.kubectl(["apply", "-f", "-"], crd);
  await plane.kubectl([
    ...["wait", "--for=condition=Established", "crd/wasmplugins.extensions.higress.io"],
    "--timeout=60s",
  ]);
  const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: systemNamespace } };
  await applyObjects(plane, namespace);
}

/** Applies objects, as `kubectl apply` does. */
export async function applyObjects(plane: Kubernetes, ...items: readonly object[]): Promise<string> {
  return plane.kubectl(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
}

/** A kubeconfig of a ServiceAccount that may do what core does. */
export async function coreKubeconfig(plane: Kubernetes): Promise<string> {
  const [account, authorization] = ["wasmline-core", "rbac.authorization.k8s.io"];
  const token = await plane.token(systemNamespace, account);
  const subjects = [{ kind: "ServiceAccount", name: account, namespace: systemNamespace }];
  const inNamespace = { name: account, namespace: systemNamespace };
  const apiVersion = `${authorization}/v1`;
  const roleRef = (kind: string) => ({ apiGroup: authorization, kind, name: account });
  await applyObjects(
    plane,
    { apiVersion, kind: "ClusterRole", metadata: { name: account }, rules: coreClusterRules },
    {
      ...{ apiVersion, kind: "ClusterRoleBinding", metadata: { name: account } },
      ...{ subjects, roleRef: roleRef("ClusterRole") },
    },
    { apiVersion, kind: "Role", metadata: inNamespace, rules: coreLeaseRules },
    { apiVersion, kind: "RoleBinding", metadata: inNamespace, subjects, roleRef: roleRef("Role") },
  );
  return plane.kubeconfigOf(token);
}

/** A WasmPlugin of the system's namespace. */
export function wasmPlugin(name: string, spec: object, namespace = systemNamespace): object {
  return {
    apiVersion: "extensions.higress.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name, namespace },
    spec,
  };
}
