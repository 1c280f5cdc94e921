import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
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

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
  const names = await runBuildah("images", "--format", "{{.Name}}:{{.Tag}}");
  if (!names.split("\n").includes(envoy)) await commit(envoy, [[peers.envoy, "/usr/local/bin/envoy"]]);
  if (!names.split("\n").includes(node)) await makeNodeImage(node, peers.debootstrap, log);
  return { node, envoy };
}

async function makeNodeImage(name: string, debootstrap: string, log: Log): Promise<void> {
  log.info({ name }, "making an image of Debian with Node (once, in about two minutes)");
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), ".debian-"));
  try {
    const root = join(work, "root");
    await run(debootstrap, ["--variant=minbase", suite, root]);
    for (const folder of unneeded) await rm(join(root, folder), { recursive: true, force: true });
    const archive = join(work, "root.tar");
    await run("tar", ["--numeric-owner", "-C", root, "-cf", archive, "."]);
    const node = join(work, "node");
    await copyFile(process.execPath, node);
    const modules = await run("npm", ["root", "--global"]);
    await commit(name, [
      [archive, "/"],
      [node, "/usr/local/bin/node"],
      [join(modules, "npm"), "/usr/local/lib/node_modules/npm"],
    ]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Makes an image of files of this machine, with npm's command beside Node where npm is in it. */
async function commit(name: string, files: readonly (readonly [from: string, to: string])[]): Promise<void> {
  const container = await runBuildah("from", "scratch");
  try {
    for (const [from, to] of files) await runBuildah("add", "--quiet", container, from, to);
    if (files.length > 1)
      await runBuildah(
        ...["run", "--isolation", "chroot", container],
        ...["ln", "-s", "../lib/node_modules/npm/bin/npm-cli.js", "/usr/local/bin/npm"],
      );
    await runBuildah("config", "--env", `PATH=${path}`, container);
    await runBuildah("commit", "--quiet", container, name);
  } finally {
    await runBuildah("rm", container);
  }
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
