import type { Kubernetes } from "./kubernetes.ts";

const namespace = "higress-system";
const name = "discovery";

/**
 * A kubeconfig of our roles' account, which may have tokens reviewed and nothing else. Its token is a new one each
 * time. One call after the other: the first makes the account.
 */
export async function reviewerKubeconfig(plane: Kubernetes): Promise<string> {
  const token = await plane.token(namespace, name);
  const binding = {
    ...{ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRoleBinding", metadata: { name } },
    roleRef: {
      apiGroup: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      name: "system:auth-delegator",
    },
    subjects: [{ kind: "ServiceAccount", namespace, name }],
  };
  await plane.kubectl(["apply", "-f", "-"], JSON.stringify(binding));
  return plane.kubeconfigOf(token);
}
