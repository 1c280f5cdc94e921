import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "../../src/agent/install-envoy.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";

/** Where tests keep images: apart from those of whoever runs them. */
const home = join(cacheDirectory(), "containers");
const storage = ["--root", join(home, "storage"), "--runroot", join(home, "run")];
const timeoutMs = 20 * 60_000;

/** What podman needs to be told before its own command: where the images are, and to leave systemd and journald alone. */
export const podmanFlags = [
  ...storage,
  ...["--tmpdir", join(home, "libpod"), "--cgroup-manager", "cgroupfs", "--events-backend", "file"],
  // Debian's crun refuses cgroups of version 1 and 2 mixed.
  ...["--runtime", "runc"],
];

/** Runs podman on the tests' images, as root, and returns what it prints. Fails with what it complains about. */
export function runPodman(...args: readonly string[]): Promise<string> {
  return runAsRoot("podman", podmanFlags, args);
}

/**
 * Runs buildah on the tests' images, as root, and returns what it prints. Fails with what it complains about. Commands of
 * several tests run one after the other, and what one of them left half done does not outlive it.
 */
export async function runBuildah(...args: readonly string[]): Promise<string> {
  const flags = [join(home, "lock"), "buildah", ...storage];
  try {
    return await runAsRoot("flock", flags, args);
  } finally {
    // buildah 1.28 forgets the containers of stages that only name an image.
    if (args[0] === "build") await runAsRoot("flock", flags, ["rm", "--all"]);
  }
}

async function runAsRoot(
  command: string,
  flags: readonly string[],
  args: readonly string[],
): Promise<string> {
  const asked = `${command} ${args.join(" ")}`;
  if (process.getuid?.() !== 0)
    throw new SystemError("not-found", `${asked}: tests run containers as root only; run them as root`);
  // What a build keeps between its runs, such as npm's cache, is in there.
  const TMPDIR = join(home, "tmp");
  await mkdir(TMPDIR, { recursive: true });
  const env = { ...process.env, TMPDIR };
  const { status, stdout, stderr } = await runCommand(command, [...flags, ...args], { env, timeoutMs });
  if (status === 0) return stdout.trim();
  throw new SystemError("not-found", `${asked}: ${`${stdout}${stderr}`.trim().slice(-2000)}`);
}
