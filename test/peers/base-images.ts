import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory, envoyVersion } from "../../src/agent/install-envoy.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";
import { runBuildah } from "./containers.ts";
import { requirePeers } from "./peers.ts";

const suite = "bookworm";
const debootstrapTimeoutMs = 20 * 60_000;
/** What images called slim leave out. */
const unneeded = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/info",
  "usr/share/locale",
  "var/cache/apt",
  "var/lib/apt/lists",
];

/**
 * Images of the shape of those that the Dockerfile starts from, which no test pulls from Docker Hub: Debian with the Node
 * and the npm that run the tests, and the pinned Envoy.
 */
export interface BaseImages {
  readonly node: string;
  readonly envoy: string;
}

/** Makes sure that they are among the tests' images. */
export async function requireBaseImages(log: Log = silentLog): Promise<BaseImages> {
  const peers = await requirePeers(log);
  const node = `localhost/stand-in/node:${process.versions.node}-${suite}-slim`;
  const envoy = `localhost/stand-in/envoy:v${envoyVersion}`;
  const names = (await runBuildah("images", "--format", "{{.Name}}:{{.Tag}}")).split("\n");
  if (names.includes(node) && names.includes(envoy)) return { node, envoy };
  log.info({ node, envoy }, "making the images that others start from (once, in about a minute)");
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), ".images-"));
  try {
    await copyFile(peers.envoy, join(work, "envoy"));
    await build(work, envoy, ["FROM scratch", "COPY envoy /usr/local/bin/envoy"]);
    await layOutNode(work, peers.debootstrap);
    await build(work, node, nodeSteps);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return { node, envoy };
}

const nodeSteps = [
  "FROM scratch",
  "ADD debian.tar /",
  "COPY node /usr/local/bin/node",
  "COPY npm /usr/local/lib/node_modules/npm",
  "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm",
  "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

async function layOutNode(work: string, debootstrap: string): Promise<void> {
  const debian = join(work, "debian");
  await run(debootstrap, ["--variant=minbase", suite, debian]);
  for (const folder of unneeded) await rm(join(debian, folder), { recursive: true, force: true });
  await run("tar", ["--numeric-owner", "-C", debian, "-cf", `${debian}.tar`, "."]);
  await rm(debian, { recursive: true });
  await copyFile(process.execPath, join(work, "node"));
  const modules = await run("npm", ["root", "--global"]);
  await cp(join(modules, "npm"), join(work, "npm"), { recursive: true });
}

/** Makes an image of files in a directory. */
async function build(directory: string, name: string, steps: readonly string[]): Promise<void> {
  const file = join(directory, "Containerfile");
  await writeFile(file, steps.join("\n"));
  await runBuildah("build", "--isolation", "chroot", "--file", file, "--tag", name, directory);
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(command, args, { timeoutMs: debootstrapTimeoutMs });
  if (status !== 0)
    throw new SystemError(
      "not-found",
      `${command} ${args.join(" ")}: ${`${stdout}${stderr}`.trim().slice(-800)}`,
    );
  return stdout.trim();
}
