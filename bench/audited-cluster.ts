import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Kubernetes, startKubernetes } from "../test/peers/kubernetes.ts";

/** A control plane that takes down what is asked of it. */
export interface AuditedCluster {
  readonly plane: Kubernetes;
  /** A kubeconfig of a user of this name, who may read everything. */
  reader(name: string): Promise<string>;
  /** What a reader has asked for since the last time: how often each verb. Watches count when they begin. */
  requestsOf(name: string): Promise<Requests>;
  end(): Promise<void>;
}

export interface Requests {
  readonly total: number;
  readonly verbs: string;
}

const namespace = "bench";
const userOf = (name: string) => `system:serviceaccount:${namespace}:${name}`;

/** Starts etcd and kube-apiserver, with an audit log of every request of its readers. */
export async function startAuditedCluster(readers: readonly string[]): Promise<AuditedCluster> {
  const directory = await mkdtemp(join(tmpdir(), "audit-"));
  const [policy, log] = [join(directory, "policy.json"), join(directory, "audit.log")];
  const rules = [{ level: "Metadata", users: readers.map(userOf) }, { level: "None" }];
  const omitStages = ["ResponseStarted", "ResponseComplete", "Panic"];
  await writeFile(
    policy,
    JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", omitStages, rules }),
  );
  const apiServerFlags = [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`];
  const { plane, end } = await startKubernetes({ apiServerFlags });
  const counted = new Map<string, number>();
  return {
    plane,
    async reader(name) {
      const token = await plane.token(namespace, name);
      const account = `${namespace}:${name}`;
      const role = ["--clusterrole=cluster-admin", `--serviceaccount=${account}`];
      await plane.kubectl(["create", "clusterrolebinding", name, ...role]);
      return plane.kubeconfigOf(token);
    },
    async requestsOf(name) {
      const events = (await readFile(log, "utf8"))
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as { verb: string; user: { username: string } })
        .filter(({ user }) => user.username === userOf(name));
      const fresh = events.slice(counted.get(name) ?? 0);
      counted.set(name, events.length);
      const verbs = new Map<string, number>();
      for (const { verb } of fresh) verbs.set(verb, (verbs.get(verb) ?? 0) + 1);
      const words = [...verbs].map(([verb, count]) => `${count} ${verb}`).join(", ");
      return { total: fresh.length, verbs: words || "none" };
    },
    async end() {
      await end();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
