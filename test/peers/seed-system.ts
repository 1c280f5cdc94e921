import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type GatewayKind, gatewayFlags } from "./gateways.ts";
import { freePortOffset } from "./ports.ts";
import { type Program, startWasmline } from "./program.ts";
import { replaceFile } from "./replace-file.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A copy of an example, examples/01-seed unless another is named, in a directory of its own, with an upstream behind its services. */
export interface SeedFiles {
  readonly gateway: GatewayKind;
  readonly dir: string;
  readonly dataDir: string;
  readonly offset: number;
  readonly trafficPort: number;
  readonly adminPort: number;
  /** Of the upstream, on loopback. */
  readonly upstreamPort: number;
  /** `--port-offset`, `--data-dir`, the gateway, and where the images are. */
  readonly flags: readonly string[];
  /** Changes a file by a function of its text, written in place. */
  edit(name: string, change: (text: string) => string): Promise<void>;
  close(): Promise<void>;
}

/** An example other than the chapter's, and what its services answer. */
export interface Example {
  readonly name: string;
  readonly answer: RequestListener;
}

const seed: Example = {
  name: "01-seed",
  answer: (request, response) => response.end(`upstream ${request.url}\n`),
};

/** Lays out the chapter's resources, or another example's, for a test with a gateway. */
export async function layOutSeed(
  gateway: GatewayKind = "envoy",
  { name, answer }: Example = seed,
): Promise<SeedFiles> {
  const base = await mkdtemp(join(tmpdir(), "wasmline-"));
  const dir = join(base, "resources");
  await cp(join(root, "examples", name), dir, {
    recursive: true,
    filter: (path) => !/\.(ts|md|mjs)$/.test(path),
  });
  const upstream = createServer(answer);
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  const edit = async (name: string, change: (text: string) => string) =>
    replaceFile(join(dir, name), change(await readFile(join(dir, name), "utf8")));
  await edit("services.yaml", (text) => text.replaceAll("port: 8081", `port: ${port}`));
  const offset = await freePortOffset();
  const dataDir = join(base, "data");
  return {
    gateway,
    dir,
    dataDir,
    offset,
    trafficPort: 8080 + offset,
    adminPort: 15000 + offset,
    upstreamPort: port,
    flags: [
      ...["--port-offset", String(offset), "--data-dir", dataDir],
      ...(await gatewayFlags(gateway)),
      ...["--registry-mirror", `higress-registry.cn-hangzhou.cr.aliyuncs.com=127.0.0.1:${5080 + offset}`],
      ...["--layout", join(root, "build/images")],
    ],
    edit,
    async close() {
      upstream.close();
      upstream.closeAllConnections();
      await rm(base, { recursive: true, force: true });
    },
  };
}

/** The chapter's system, running. */
export interface SeedSystem extends SeedFiles {
  readonly up: Program;
}

/** Runs `wasmline up` on the chapter's resources and waits for its ready line. */
export async function startSeed(gateway: GatewayKind, ...flags: readonly string[]): Promise<SeedSystem> {
  return runSeed(await layOutSeed(gateway), flags);
}

/** Runs `wasmline up` on another example's. */
export async function startExample(
  gateway: GatewayKind,
  example: Example,
  ...flags: readonly string[]
): Promise<SeedSystem> {
  return runSeed(await layOutSeed(gateway, example), flags);
}

async function runSeed(files: SeedFiles, flags: readonly string[]): Promise<SeedSystem> {
  const up = startWasmline(["up", "-f", files.dir, ...files.flags, ...flags]);
  await up.waitFor("stdout", /^ready .*$/m);
  return {
    ...files,
    up,
    async close() {
      await up.stop();
      await files.close();
    },
  };
}
