import { spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { aggregationFlags } from "./cluster-metrics.ts";
import { requireKubernetes } from "./kubernetes-programs.ts";
import { requirePeers } from "./peers.ts";
import { freePort } from "./ports.ts";
import { type Program, startProgram } from "./program.ts";
import { until } from "./until.ts";

export interface KubernetesOptions {
  /** Runs the controllers too: service accounts, EndpointSlices, and namespaces that end with what is in them. */
  readonly controllers?: boolean;
  /** More flags of kube-apiserver. */
  readonly apiServerFlags?: readonly string[];
  /** Where a node reaches the API server, and the range of its Services; loopback, where no node is, unless given. */
  readonly network?: { readonly machine: string; readonly services: string };
}

/** A control plane of one machine, without nodes: etcd and a real kube-apiserver on free ports of loopback, RBAC on. */
export interface Kubernetes {
  /** `https://127.0.0.1:port`, or at the address of `network`. */
  readonly url: string;
  /** What signed the API server's certificate: a file in PEM. */
  readonly caFile: string;
  /** A kubeconfig of an administrator. */
  readonly kubeconfig: string;
  readonly etcdUrl: string;
  readonly directory: string;
  /** Runs kubectl as administrator, with `input` for `-f -`; gives what it prints. Throws with what it complains about. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** A token of a ServiceAccount (both are made where they are not there), for an audience unless it is the API server itself. */
  token(namespace: string, serviceAccount: string, options?: TokenOptions): Promise<string>;
  /** A kubeconfig that proves itself by a token. */
  kubeconfigOf(token: string, name?: string): Promise<string>;
  /** Kills the API server; etcd keeps what it knew. */
  stopApiServer(): Promise<void>;
  /** Starts it again at its address. */
  startApiServer(): Promise<void>;
  /** Makes etcd forget history: older resource versions are gone (410) for new watches. */
  compact(): Promise<void>;
}

export interface TokenOptions {
  readonly audience?: string;
  /** 600 at least, as Kubernetes has it. */
  readonly seconds?: number;
}

const startTimeoutMs = 120_000;

/** Starts a control plane for one test, and ends it with the test. */
export async function runKubernetes(
  t: Pick<TestContext, "after">,
  options: KubernetesOptions = {},
): Promise<Kubernetes> {
  const { plane, end } = await startKubernetes(options);
  t.after(end);
  return plane;
}

/** Starts a control plane. `end` stops it and removes what it kept. */
export async function startKubernetes({
  controllers = false,
  apiServerFlags = [],
  network,
}: KubernetesOptions = {}): Promise<{ readonly plane: Kubernetes; readonly end: () => Promise<void> }> {
  const { etcd } = await requirePeers();
  const programs = await requireKubernetes();
  const directory = await mkdtemp(join(tmpdir(), "kubernetes-"));
  const [clientPort, peerPort, securePort] = [await freePort(), await freePort(), await freePort()];
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const address = network?.machine ?? "127.0.0.1";
  const url = `https://${address}:${securePort}`;
  const running = new Set<Program>();
  const start = (command: string, args: readonly string[], env?: NodeJS.ProcessEnv) => {
    const program = startProgram(command, args, env);
    running.add(program);
    void program.ended.then(() => running.delete(program));
    return program;
  };
  const adminToken = randomBytes(16).toString("hex");
  const file = (name: string) => join(directory, name);
  const caFile = file("apiserver.crt");
  await writeFile(file("tokens.csv"), `${adminToken},admin,admin,"system:masters"\n`, { mode: 0o600 });
  await writeFile(file("sa.key"), serviceAccountKey(), { mode: 0o600 });
  const apiServerArguments = [
    ...[`--etcd-servers=${etcdUrl}`, `--secure-port=${securePort}`, `--bind-address=${address}`],
    ...[`--advertise-address=${address}`, `--cert-dir=${directory}`, "--authorization-mode=RBAC"],
    ...[`--token-auth-file=${file("tokens.csv")}`, `--service-account-key-file=${file("sa.key")}`],
    ...[
      `--service-account-signing-key-file=${file("sa.key")}`,
      "--service-account-issuer=https://kubernetes",
    ],
    ...[`--service-cluster-ip-range=${network?.services ?? "10.96.0.0/16"}`, "--profiling=false"],
    // An API server on loopback has no endpoint that Pods could reach.
    `--endpoint-reconciler-type=${network ? "lease" : "none"}`,
    "--kubelet-preferred-address-types=InternalIP",
    ...(network ? aggregationFlags(directory) : []),
    ...apiServerFlags,
  ];
  let apiServer: Program;
  async function startApiServer(): Promise<void> {
    apiServer = start(programs.apiServer, apiServerArguments);
    await until("the API server is ready", () => isReady(url, adminToken, apiServer), startTimeoutMs);
  }
  async function writeKubeconfig(name: string, token: string): Promise<string> {
    await writeFile(file(name), kubeconfigText(url, caFile, token), { mode: 0o600 });
    return file(name);
  }
  async function end(): Promise<void> {
    await Promise.all([...running].map((program) => program.stop("SIGKILL").catch(() => {})));
    await rm(directory, { recursive: true, force: true });
  }

  try {
    start(etcd, [
      ...["--data-dir", file("etcd"), "--listen-client-urls", etcdUrl, "--advertise-client-urls", etcdUrl],
      ...["--listen-peer-urls", `http://127.0.0.1:${peerPort}`, "--log-level", "error", "--unsafe-no-fsync"],
      ...["--initial-advertise-peer-urls", `http://127.0.0.1:${peerPort}`],
      ...["--initial-cluster", `default=http://127.0.0.1:${peerPort}`],
    ]);
    await startApiServer();
    const kubeconfig = await writeKubeconfig("admin.kubeconfig", adminToken);
    const kubectl = (args: readonly string[], input?: string) =>
      runKubectl(programs.kubectl, kubeconfig, args, input);
    if (controllers) {
      const enabled = "*,-bootstrap-signer-controller,-token-cleaner-controller";
      start(programs.controllerManager, [
        ...[
          `--kubeconfig=${kubeconfig}`,
          "--leader-elect=false",
          `--controllers=${enabled}`,
          "--secure-port=0",
        ],
        ...[
          `--service-account-private-key-file=${file("sa.key")}`,
          `--root-ca-file=${caFile}`,
          "--use-service-account-credentials=false",
          // Somebody waits for it.
          "--horizontal-pod-autoscaler-sync-period=2s",
        ],
      ]);
    }
    const plane: Kubernetes = {
      ...{ url, caFile, kubeconfig, etcdUrl, directory, kubectl, startApiServer },
      async token(namespace, serviceAccount, { audience, seconds = 3600 } = {}) {
        await ensure(kubectl, ["create", "namespace", namespace]);
        await ensure(kubectl, ["create", "serviceaccount", serviceAccount, "-n", namespace]);
        const flags = [`--duration=${seconds}s`, ...(audience ? [`--audience=${audience}`] : [])];
        return (await kubectl(["create", "token", serviceAccount, "-n", namespace, ...flags])).trim();
      },
      kubeconfigOf: (token, name = `${randomBytes(6).toString("hex")}.kubeconfig`) =>
        writeKubeconfig(name, token),
      async stopApiServer() {
        await apiServer.stop("SIGKILL");
      },
      compact: () => compactEtcd(etcdUrl),
    };
    return { plane, end };
  } catch (error) {
    await end();
    throw error;
  }
}

function serviceAccountKey(): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return privateKey.export({ type: "pkcs1", format: "pem" }).toString();
}

function kubeconfigText(url: string, caFile: string, token: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority": caFile } }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  });
}

/** Ready, with the namespaces that it makes for itself: from then on it takes whatever is written. */
async function isReady(url: string, token: string, apiServer: Program): Promise<boolean> {
  const gone = await Promise.race([apiServer.ended.then(() => true), Promise.resolve(false)]);
  if (gone) throw new Error(`kube-apiserver ended:\n${apiServer.stderr().slice(-2000)}`);
  const paths = ["/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system"];
  const answers = await Promise.all(paths.map((path) => statusOf(`${url}${path}`, token)));
  return answers.every((status) => status === 200);
}

function statusOf(url: string, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    // It makes its certificate when it starts, and this is only to find out whether it is there.
    get(url, { headers, rejectUnauthorized: false, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    }).once("error", reject);
  });
}

function runKubectl(
  program: string,
  kubeconfig: string,
  args: readonly string[],
  input = "",
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["--kubeconfig", kubeconfig, "--request-timeout=30s", ...args]);
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        text[name] += chunk;
      });
    child.once("error", reject);
    child.once("close", (status) => {
      if (status === 0) resolve(text.stdout);
      else reject(new Error(`kubectl ${args.join(" ")}: ${text.stderr.trim()}`));
    });
    // It may end without reading what it is given.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

async function ensure(kubectl: Kubernetes["kubectl"], args: readonly string[]): Promise<void> {
  await kubectl(args).catch((error: Error) => {
    if (!/already ?exists/i.test(error.message)) throw error;
  });
}

/** Compaction at the revision that etcd is at, by its gRPC gateway. */
async function compactEtcd(etcdUrl: string): Promise<void> {
  const post = async (path: string, body: object) => {
    const answer = await fetch(`${etcdUrl}/v3/${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { header: { revision: string } };
  };
  const { header } = await post("kv/range", { key: Buffer.from("/").toString("base64") });
  await post("kv/compaction", { revision: header.revision, physical: true });
}

/** The text of a kubeconfig's authority, for clients that take it as text. */
export function readAuthority({ caFile }: Kubernetes): Promise<string> {
  return readFile(caFile, "utf8");
}
