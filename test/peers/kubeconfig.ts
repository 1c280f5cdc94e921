import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Kubernetes } from "./kubernetes.ts";

export interface KubeconfigFields {
  readonly server: string;
  /** A file of what signed the server's certificate. */
  readonly authority: string;
  readonly user: Readonly<Record<string, string>>;
}

/** Writes a kubeconfig with one cluster and one user into a directory. */
export async function writeKubeconfig(
  directory: string,
  { server, authority, user }: KubeconfigFields,
): Promise<string> {
  const file = join(directory, `${randomBytes(6).toString("hex")}.kubeconfig`);
  const [name, cluster] = ["test", { server, "certificate-authority": authority }];
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": name },
    clusters: [{ name, cluster }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
  };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

/** An administrator's kubeconfig that goes through a proxy at a port, which may show a certificate of its own. */
export async function kubeconfigThrough(
  { kubeconfig, caFile, directory }: Kubernetes,
  port: number,
  authority = caFile,
): Promise<string> {
  const { users } = JSON.parse(await readFile(kubeconfig, "utf8")) as {
    readonly users: readonly [{ readonly user: Readonly<Record<string, string>> }];
  };
  return writeKubeconfig(directory, { server: `https://127.0.0.1:${port}`, authority, user: users[0].user });
}
