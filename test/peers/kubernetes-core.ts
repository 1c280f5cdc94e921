import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import type { Kubernetes } from "./kubernetes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where the system's own objects are. */
export const systemNamespace = "higress-system";

/** What core may do in a cluster, and no more: what it reads everywhere, and what it writes of statuses and events. */
export const coreClusterRules = [
  {
    apiGroups: ["extensions.higress.io"],
    resources: ["wasmplugins"],
    verbs: ["list", "watch"],
  },
  { apiGroups: ["extensions.higress.io"], resources: ["wasmplugins/status"], verbs: ["patch"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["ingresses", "ingressclasses"],
    verbs: ["list", "watch"],
  },
  { apiGroups: [""], resources: ["services", "secrets"], verbs: ["list", "watch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"] },
] as const;

/** What core may do in its own namespace: the Lease of its election. */
export const coreLeaseRules = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: ["wasmline-core"],
    verbs: ["get", "update", "list", "watch"],
  },
] as const;

/** The CRD of WasmPlugins, as text. */
export function wasmPluginCrd(): Promise<string> {
  return readFile(`${root}/api/crds/wasmplugins.extensions.higress.io.yaml`, "utf8");
}

/** What Higress' CRD has less than ours: rules, bounds, columns, and what a status looks like. */
function asHigress(crd: string): string {
  const { spec, ...rest } = load(crd) as { readonly spec: { readonly versions: readonly [Version] } };
  const [{ schema, additionalPrinterColumns: _columns, ...version }] = spec.versions;
  const { spec: fields } = schema.openAPIV3Schema.properties;
  const { "x-kubernetes-validations": _rules, ...withoutRules } = fields;
  const priority = { type: "integer", nullable: true };
  const { maxItems: _max, ...matchRules } = fields.properties.matchRules;
  const properties = {
    spec: { ...withoutRules, properties: { ...fields.properties, priority, matchRules } },
    status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  };
  const openAPIV3Schema = { type: "object", properties };
  return JSON.stringify({
    ...rest,
    spec: { ...spec, versions: [{ ...version, schema: { openAPIV3Schema } }] },
  });
}

interface Version {
  readonly schema: { readonly openAPIV3Schema: { readonly properties: { readonly spec: SpecSchema } } };
  readonly additionalPrinterColumns: object;
}

interface SpecSchema {
  readonly "x-kubernetes-validations": object;
  readonly properties: { readonly matchRules: { readonly maxItems: number } };
}

/** Puts the CRD, ours or one as Higress has it, and the system's namespace into a cluster. */
export async function installCrds(plane: Kubernetes, which: "ours" | "as-higress" = "ours"): Promise<void> {
  const crd = await wasmPluginCrd();
  await plane.kubectl(["apply", "-f", "-"], which === "ours" ? crd : asHigress(crd));
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
