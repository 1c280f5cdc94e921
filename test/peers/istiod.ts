import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Log, silentLog } from "../../src/log.ts";
import { requireGoPrograms } from "./go-programs.ts";
import type { Kubernetes } from "./kubernetes.ts";
import { freePort } from "./ports.ts";
import { startProgram } from "./program.ts";
import { until } from "./until.ts";

let required: Promise<string> | undefined;

/** The path of Istio's pilot-discovery. */
export function requireIstiod(log: Log = silentLog): Promise<string> {
  const packages = ["istio.io/istio/pilot/cmd/pilot-discovery"];
  required ??= requireGoPrograms({ module: "istiod", packages, minutes: 5 }, log).then(([path]) => path!);
  return required;
}

export interface IstiodOptions {
  readonly plane: Kubernetes;
  /** Where core's MCP is, as `host:port`. */
  readonly mcp: string;
  /** ADS without TLS. */
  readonly grpcPort: number;
  /** ADS with TLS, for clients with a ServiceAccount's token; any free port unless given. */
  readonly securePort?: number;
  /** Its namespace, and the root namespace of the mesh. */
  readonly namespace?: string;
}

export interface Istiod {
  /** What vouches for its certificate, in PEM. */
  readonly authority: string;
  /** HTTP: `/debug/…`, `/metrics`. */
  readonly monitoringPort: number;
  stderr(): string;
  stop(): Promise<void>;
}

const settings = (mcp: string, namespace: string) => ({
  rootNamespace: namespace,
  configSources: [{ address: `xds://${mcp}` }],
  defaultProviders: {},
  // Certificates of workloads come from Istio's own agent.
  enableAutoMtls: false,
});

/** Starts an istiod that takes its configuration from a core, which has to be up: it gives up otherwise. */
export async function startIstiod({
  plane,
  mcp,
  grpcPort,
  securePort,
  namespace = "higress-system",
}: IstiodOptions): Promise<Istiod> {
  const program = await requireIstiod();
  const directory = await mkdtemp(join(tmpdir(), "istiod-"));
  const meshConfig = join(directory, "mesh.yaml");
  await mkdir(directory, { recursive: true });
  await writeFile(meshConfig, JSON.stringify(settings(mcp, namespace)));
  const [httpPort, monitoringPort] = [await freePort(), await freePort()];
  const flags = [
    ...["--meshConfig", meshConfig, "--networksConfig", join(directory, "none")],
    ...["--kubeconfig", plane.kubeconfig, "--registries", "Kubernetes", "--namespace", namespace],
    ...[
      "--grpcAddr",
      `127.0.0.1:${grpcPort}`,
      "--secureGRPCAddr",
      `127.0.0.1:${securePort ?? (await freePort())}`,
    ],
    ...["--httpAddr", `127.0.0.1:${httpPort}`, "--httpsAddr", "", "--ctrlz_port", "0"],
    ...["--monitoringAddr", `127.0.0.1:${monitoringPort}`],
  ];
  const running = startProgram(program, ["discovery", ...flags], {
    POD_NAME: "istiod-0",
    POD_NAMESPACE: namespace,
    // A name for its certificate that means this machine.
    ISTIOD_CUSTOM_HOST: "localhost",
    // Filters that only Istio's own Envoy has.
    PILOT_ENABLE_METADATA_EXCHANGE: "false",
    PILOT_ENABLE_ALPN_FILTER: "false",
  });
  const stop = async () => {
    await running.stop("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await until("istiod is ready", async () => (await fetch(`http://127.0.0.1:${httpPort}/ready`)).ok);
  } catch (error) {
    await stop();
    throw new Error(`${error}\n${running.stdout().slice(-3000)}${running.stderr().slice(-3000)}`);
  }
  const encoded = await plane.kubectl([
    ...["get", "secret", "istio-ca-secret", "-n", namespace, "-o", "jsonpath={.data.ca-cert\\.pem}"],
  ]);
  const authority = Buffer.from(encoded, "base64").toString();
  return { authority, monitoringPort, stderr: () => running.stdout() + running.stderr(), stop };
}
