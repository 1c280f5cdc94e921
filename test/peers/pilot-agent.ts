import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Log, silentLog } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";
import { goEnvironment, requireGo } from "./go.ts";
import { requireGoPrograms } from "./go-programs.ts";
import { requirePeers } from "./peers.ts";
import { freePort } from "./ports.ts";
import { type Program, startProgram } from "./program.ts";

const module = "pilot-agent";
let required: Promise<string> | undefined;

/** The path of Istio's pilot-agent. */
export function requirePilotAgent(log: Log = silentLog): Promise<string> {
  const packages = ["istio.io/istio/pilot/cmd/pilot-agent"];
  required ??= requireGoPrograms({ module, packages, minutes: 3 }, log).then(([path]) => path!);
  return required;
}

export interface PilotAgentOptions {
  /** `host:port` of discovery; Istio takes `localhost` for `istiod.istio-system.svc` when it checks a certificate. */
  readonly discovery: string;
  /** TLS with a token, where given; plaintext otherwise. */
  readonly secure?: { readonly authority: string; readonly token: string };
  /**
   * Whether it asks discovery for a certificate of its workload, as it does unless it is told that there are files. In
   * plaintext it can do so at port 15010 only.
   */
  readonly asksForCertificates?: boolean;
  /** Answers queries for names by what discovery says of them, and is not ready before it said something. */
  readonly dns?: boolean;
  /** Registries, `host:port`, that speak plaintext. */
  readonly insecureRegistries: readonly string[];
  /** Of its Envoy. */
  readonly adminPort: number;
  /** Incremental xDS, which Istio has had as its default since 1.22; otherwise the state of the world. */
  readonly incremental: boolean;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface PilotAgent extends Pick<Program, "stdout" | "stderr" | "pid"> {
  /** Whether `/healthz/ready` answers 200 through its Envoy, as the kubelet asks. */
  isReady(): Promise<boolean>;
  stop(): Promise<void>;
}

/** Where Istio's gateway image has what the Pod mounts, below the working directory. */
const places = {
  labels: "etc/istio/pod/labels",
  config: "etc/istio/proxy",
  token: "var/run/secrets/tokens/istio-token",
  authority: "var/run/secrets/istio/root-cert.pem",
};

/** Runs `pilot-agent proxy router` with the Envoy of the tests, in a directory laid out as in the Pod of a gateway. */
export async function startPilotAgent(options: PilotAgentOptions): Promise<PilotAgent> {
  const { namespace = "higress-system", labels = { higress: "higress-system-higress-gateway" } } = options;
  const program = await requirePilotAgent();
  const directory = await mkdtemp(join(tmpdir(), "pilot-agent-"));
  const files: Record<string, string> = {
    [places.labels]: Object.entries(labels)
      .map(([key, value]) => `${key}=${JSON.stringify(value)}\n`)
      .join(""),
    ...(options.secure && {
      [places.token]: options.secure.token,
      [places.authority]: options.secure.authority,
    }),
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(directory, name, ".."), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  const [statusPort, readyPort, prometheusPort] = [await freePort(), await freePort(), await freePort()];
  const dnsPort = await freePort();
  const proxyConfig = {
    discoveryAddress: options.discovery,
    controlPlaneAuthPolicy: options.secure ? "MUTUAL_TLS" : "NONE",
    configPath: `./${places.config}`,
    binaryPath: (await requirePeers()).envoy,
    proxyBootstrapTemplatePath: await bootstrapTemplate(),
    proxyAdminPort: options.adminPort,
    statusPort,
    concurrency: 1,
    terminationDrainDuration: "1s",
  };
  const running = startProgram(
    "unshare",
    [...namespaces(), "sh", "-c", ownDisk, "sh", directory, program, "proxy", "router"],
    {
      PROXY_CONFIG: JSON.stringify(proxyConfig),
      POD_NAME: "istio-gateway",
      POD_NAMESPACE: namespace,
      INSTANCE_IP: "127.0.0.1",
      ISTIO_META_CLUSTER_ID: "Kubernetes",
      ISTIO_DELTA_XDS: String(options.incremental),
      ENVOY_STATUS_PORT: String(readyPort),
      ENVOY_PROMETHEUS_PORT: String(prometheusPort),
      GRPC_XDS_BOOTSTRAP: "",
      ISTIO_META_ENABLE_DNS_SERVER: String(options.dns ?? false),
      DNS_PROXY_ADDR: `127.0.0.1:${dnsPort}`,
      FILE_MOUNTED_CERTS: String(!options.asksForCertificates),
      XDS_ROOT_CA: options.secure && !options.asksForCertificates ? `./${places.authority}` : "",
      WASM_INSECURE_REGISTRIES: options.insecureRegistries.join(","),
    },
  );
  return {
    pid: running.pid,
    stdout: running.stdout,
    stderr: running.stderr,
    isReady: async () => (await fetch(`http://127.0.0.1:${readyPort}/healthz/ready`)).ok,
    async stop() {
      const agent = await childOf(running.pid).catch(() => undefined);
      // unshare hands no signals on.
      if (agent !== undefined) process.kill(agent, "SIGTERM");
      await (agent === undefined ? running.stop("SIGKILL") : running.ended);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Modules always go to /var/lib/istio/data: a file system in memory that nobody else sees is there. */
const ownDisk =
  'mount -t tmpfs none /var/lib && mkdir -p /var/lib/istio/data && cd "$1" && shift && exec "$@"';

/** Its own mounts; and its own processes, so that its Envoy ends with it, however that ends. */
function namespaces(): string[] {
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  return [...asRoot, "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"];
}

async function childOf(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return Number(children.trim().split(" ")[0]) || undefined;
}

/** The template of Envoy's bootstrap that is in the module beside the agent. */
async function bootstrapTemplate(): Promise<string> {
  const { stdout, stderr } = await runCommand(
    await requireGo(),
    ["mod", "download", "-json", "istio.io/istio"],
    { cwd: fileURLToPath(new URL(`${module}/`, import.meta.url)), env: await goEnvironment() },
  );
  const { Dir, Error: why } = JSON.parse(stdout || "{}") as { Dir?: string; Error?: string };
  if (Dir === undefined)
    throw new SystemError("not-found", `no module istio.io/istio: ${why ?? stderr.slice(-800)}`);
  return join(Dir, "tools/packaging/common/envoy_bootstrap.json");
}
