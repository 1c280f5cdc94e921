import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requirePeers } from "../test/peers/peers.ts";
import { freePort } from "../test/peers/ports.ts";
import { startProgram } from "../test/peers/program.ts";
import { get } from "../test/peers/request.ts";
import { type EnvoyPlugin, staticEnvoy } from "../test/peers/static-envoy.ts";
import { until } from "../test/peers/until.ts";

/** A gateway as a process of its own. */
export interface BenchGateway {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

export interface BenchGatewayOptions {
  /** What plugins say at level info is written, to nowhere; left out, plugins may say nothing but that they end. */
  readonly pluginsLog?: boolean;
}

/** Starts Envoy with one worker, or the embedded gateway, in front of an upstream. */
export async function startBenchGateway(
  kind: "envoy" | "embedded",
  upstreamPort: number,
  plugins: readonly EnvoyPlugin[],
  options: BenchGatewayOptions = {},
): Promise<BenchGateway> {
  const start = kind === "envoy" ? startEnvoy : startEmbedded;
  const gateway = await start(upstreamPort, plugins, options);
  // Envoy compiles Go modules for half a minute before it listens.
  await until("the gateway answers", async () => (await get(gateway.port)).status !== 503, 120_000);
  return gateway;
}

async function startEnvoy(
  upstreamPort: number,
  plugins: readonly EnvoyPlugin[],
  { pluginsLog = false }: BenchGatewayOptions,
): Promise<BenchGateway> {
  const logging = ["--component-log-level", "wasm:info", "--log-path", "/dev/null"];
  const { envoy } = await requirePeers();
  const directory = await mkdtemp(join(tmpdir(), "wasmline-"));
  const [file, port] = [join(directory, "envoy.json"), await freePort()];
  await writeFile(file, staticEnvoy({ port, upstreamPort, plugins }));
  const program = startProgram(envoy, [
    "-c",
    file,
    "--concurrency",
    "1",
    "--use-dynamic-base-id",
    "-l",
    "critical",
    ...(pluginsLog ? logging : []),
  ]);
  return {
    pid: program.pid,
    port,
    async stop() {
      await program.stop();
      await rm(directory, { recursive: true });
    },
  };
}

async function startEmbedded(
  upstreamPort: number,
  plugins: readonly EnvoyPlugin[],
  { pluginsLog = false }: BenchGatewayOptions,
): Promise<BenchGateway> {
  const script = fileURLToPath(new URL("run-gateway.ts", import.meta.url));
  const modules = plugins.flatMap(({ file, configuration }) => [file, configuration]);
  const program = startProgram(
    process.execPath,
    ["--import", "tsx", script, String(upstreamPort), ...modules],
    pluginsLog ? { PLUGIN_LOG: "info" } : {},
  );
  const [port] = (await program.waitFor("stdout", /^\d+$/m)).map(Number) as [number];
  return {
    pid: program.pid,
    port,
    async stop() {
      await program.stop();
    },
  };
}
