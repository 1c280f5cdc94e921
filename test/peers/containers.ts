import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "../../src/agent/install-envoy.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";

/** Where tests keep images: apart from those of whoever runs them. */
const home = join(cacheDirectory(), "containers");
const storage = ["--root", join(home, "storage"), "--runroot", join(home, "run")];
const timeoutMs = 20 * 60_000;

/** Runs buildah on the tests' images, as root, and returns what it prints. Fails with what it complains about. */
export async function runBuildah(...args: readonly string[]): Promise<string> {
  return runOnImages("buildah", [...storage, ...args]);
}

/** Runs podman on the tests' images, as root, and returns what it prints. Fails with what it complains about. */
export async function runPodman(...args: readonly string[]): Promise<string> {
  return runOnImages("podman", [...podmanFlags, ...args]);
}

/** What podman needs to be told before its own command: where the images are, and to leave systemd and journald alone. */
export const podmanFlags = [
  ...storage,
  ...["--tmpdir", join(home, "libpod"), "--cgroup-manager", "cgroupfs", "--events-backend", "file"],
  // The one of Debian's that runs on cgroups of version 1 and 2 mixed, too.
  ...["--runtime", "runc"],
];

async function runOnImages(command: string, args: readonly string[]): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new SystemError("not-found", `${command}: containers are run by root only; run the tests as root`);
  // What a build keeps between its runs, such as npm's cache, is in there.
  const TMPDIR = join(home, "tmp");
  await mkdir(TMPDIR, { recursive: true });
  const env = { ...process.env, TMPDIR };
  const { status, stdout, stderr } = await runCommand(command, args, { env, timeoutMs });
  if (status !== 0)
    throw new SystemError(
      "not-found",
      `${command} ${args.slice(4).join(" ")}: ${`${stdout}${stderr}`.trim().slice(-2000)}`,
    );
  return stdout.trim();
}
