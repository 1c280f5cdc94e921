import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, isExecutable } from "../../src/agent/install-envoy.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";
import { goEnvironment, requireGo } from "./go.ts";

/** The Go module whose go.mod and go.sum pin it. */
const moduleDirectory = fileURLToPath(new URL("helm/", import.meta.url));
const buildTimeoutMs = 20 * 60_000;

let required: Promise<string> | undefined;

/** The path of helm in the cache; built from its Go module where it is not there (about two minutes of two cores). */
export function requireHelm(log: Log = silentLog): Promise<string> {
  required ??= findOrBuild(log);
  return required;
}

async function findOrBuild(log: Log): Promise<string> {
  const pinned = createHash("sha256").update(await readFile(join(moduleDirectory, "go.sum")));
  const directory = join(cacheDirectory(), `helm-${pinned.digest("hex").slice(0, 12)}`);
  const path = join(directory, "helm");
  if (!(await isExecutable(path))) await build(directory, log);
  return path;
}

async function build(directory: string, log: Log): Promise<void> {
  log.info({ directory }, "building helm (once, about two minutes)");
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), ".helm-"));
  try {
    const { status, stderr } = await runCommand(
      await requireGo(log),
      [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        "-s -w",
        "-o",
        `${work}/`,
        "helm.sh/helm/v3/cmd/helm",
      ],
      { cwd: moduleDirectory, env: await goEnvironment(log), timeoutMs: buildTimeoutMs },
    );
    if (status !== 0) throw new SystemError("not-found", `cannot build helm: ${stderr.trim().slice(-800)}`);
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
