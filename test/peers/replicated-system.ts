import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "./certificate.ts";
import { type GatewayKind, gatewayFlags, gateways } from "./gateways.ts";
import type { Kubernetes } from "./kubernetes.ts";
import { coreKubeconfig, systemNamespace } from "./kubernetes-core.ts";
import { freePortOffsets } from "./ports.ts";
import { type Program, startWasmline } from "./program.ts";
import { reviewerKubeconfig } from "./reviewer.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** One of two that do the same. */
export interface Replica {
  /** Of its HTTP. */
  readonly httpPort: number;
  /** Of its gRPC. */
  readonly xdsPort: number;
  readonly program: Program;
  /** Starts it where it was, after its end. */
  restart(): void;
}

/** A gateway with its agent, two discoveries that the agent knows, and two cores that those know. */
export interface GatewaySystem {
  readonly gateway: GatewayKind;
  readonly trafficPort: number;
  readonly securePort: number;
  readonly cores: readonly Replica[];
  readonly discoveries: readonly Replica[];
}

/** Such a system for each kind of gateway: on one machine the two have ports of their own, and those come from core. */
export interface ReplicatedSystems {
  readonly all: readonly GatewaySystem[];
  /** Between all cores and the API server. */
  readonly network: TcpProxy;
  /** Of what the gateways have before them; it answers `upstream PATH`. */
  readonly upstreamPort: number;
  close(): Promise<void>;
}

/**
 * Starts both systems in a cluster, as a chart has them: cores with their own ServiceAccount and one election, gateways
 * that prove themselves by a token over TLS.
 */
export async function startReplicatedSystems(plane: Kubernetes): Promise<ReplicatedSystems> {
  const ends: (() => unknown)[] = [];
  const later = { after: (end: () => unknown) => void ends.unshift(end) };
  const close = async () => {
    for (const end of ends) await end();
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), "replicated-"));
    later.after(() => rm(directory, { recursive: true, force: true }));
    const network = await startTcpProxy(later, Number(new URL(plane.url).port));
    const coreAccess = await behind(network, plane, await coreKubeconfig(plane));
    const offsets = await freePortOffsets(3 * gateways.length);
    const statusFlags = offsets.flatMap((offset) => [
      "--discovery-status",
      `http://127.0.0.1:${15014 + offset}`,
    ]);
    const upstream = createServer((request, response) => response.end(`upstream ${request.url}\n`));
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    later.after(() => {
      upstream.close();
      upstream.closeAllConnections();
    });
    const proof = await writeProofs(directory, plane);
    const all: GatewaySystem[] = [];
    for (const [index, gateway] of gateways.entries()) {
      const [offset, ...others] = offsets.slice(3 * index, 3 * index + 3) as [number, number, number];
      const dataDir = join(directory, gateway);
      const ports = { trafficPort: 8080 + offset, securePort: 8443 + offset };
      const programs = new Set<Program>();
      later.after(() => Promise.all([...programs].map((program) => program.stop())));
      const start = (args: readonly string[]) => {
        const program = startWasmline(args);
        programs.add(program);
        return program;
      };
      const cores = others.map((other) =>
        createReplica(start, 8888 + other, 15051 + other, [
          ...["core", "--core-port", String(8888 + other), "--mcp-port", String(15051 + other)],
          ...["--gateway-http-port", String(ports.trafficPort)],
          ...["--gateway-https-port", String(ports.securePort)],
          ...["--source", "kubernetes", "--kubeconfig", coreAccess, ...statusFlags],
        ]),
      );
      const discoveries = others.map((other, first) => {
        const known = [cores[first]!, cores[1 - first]!].map(({ xdsPort }) => `127.0.0.1:${xdsPort}`);
        return createReplica(start, 15014 + other, 15012 + other, [
          ...["discovery", "--core", `ipv4:${known}`, "--xds-port", String(15010 + other)],
          ...["--discovery-port", String(15014 + other), "--secure-port", String(15012 + other)],
          ...proof.ofDiscovery,
        ]);
      });
      const own = ["--port-offset", String(offset), "--data-dir", dataDir, "--node-name", gateway];
      const [, , ...envoyFlags] = await gatewayFlags(gateway);
      start([
        ...["agent", ...own, ...proof.ofGateway],
        ...["--discovery", discoveries.map(({ xdsPort }) => `127.0.0.1:${xdsPort}`).join(",")],
        ...(gateway === "envoy" ? envoyFlags : ["--no-envoy", "--gateway-abi", "higress"]),
      ]);
      if (gateway === "embedded") start(["gateway", ...own, "--concurrency", "1"]);
      all.push({ gateway, ...ports, cores, discoveries });
    }
    return { all, network, upstreamPort: (upstream.address() as AddressInfo).port, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function createReplica(
  start: (args: readonly string[]) => Program,
  httpPort: number,
  xdsPort: number,
  args: readonly string[],
): Replica {
  let program = start(args);
  return {
    ...{ httpPort, xdsPort },
    get program() {
      return program;
    },
    restart() {
      program = start(args);
    },
  };
}

/** The same kubeconfig, with the proxy's address in the place of the API server's. */
async function behind(network: TcpProxy, plane: Kubernetes, kubeconfig: string): Promise<string> {
  const text = await readFile(kubeconfig, "utf8");
  await writeFile(kubeconfig, text.replace(plane.url, `https://127.0.0.1:${network.port}`));
  return kubeconfig;
}

/** How discoveries and gateways prove to each other who they are. */
async function writeProofs(directory: string, plane: Kubernetes) {
  const { certificate, key } = makeCertificate(directory, "discovery");
  const reviewer = await reviewerKubeconfig(plane);
  const tokenFile = join(directory, "gateway.token");
  await writeFile(tokenFile, await plane.token(systemNamespace, "gateway", { audience: "istio-ca" }));
  const review = ["--token-review", "--require-authentication", "--kubeconfig", reviewer];
  return {
    ofDiscovery: ["--tls-cert", certificate, "--tls-key", key, ...review],
    ofGateway: ["--discovery-ca", certificate, "--token-file", tokenFile],
  };
}
