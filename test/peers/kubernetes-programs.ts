import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, isExecutable } from "../../src/agent/install-envoy.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";
import { goEnvironment, requireGo } from "./go.ts";

/** Kubernetes' own programs, as absolute paths. */
export interface KubernetesPrograms {
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

/** The Go module whose go.mod and go.sum pin them. */
const moduleDirectory = fileURLToPath(new URL("kubernetes/", import.meta.url));
const names = ["kube-apiserver", "kube-controller-manager", "kubectl"];
const buildTimeoutMs = 30 * 60_000;

let required: Promise<KubernetesPrograms> | undefined;

/** Kubernetes' programs in the cache; built from their Go modules where they are not there (about eight minutes of two cores). */
export function requireKubernetes(log: Log = silentLog): Promise<KubernetesPrograms> {
  required ??= findOrBuild(log);
  return required;
}

async function findOrBuild(log: Log): Promise<KubernetesPrograms> {
  const pinned = createHash("sha256").update(await readFile(join(moduleDirectory, "go.sum")));
  const directory = join(cacheDirectory(), `kubernetes-${pinned.digest("hex").slice(0, 12)}`);
  const paths = names.map((name) => join(directory, name));
  if (!(await Promise.all(paths.map(isExecutable))).every(Boolean)) await build(directory, log);
  const [apiServer, controllerManager, kubectl] = paths;
  return { apiServer: apiServer!, controllerManager: controllerManager!, kubectl: kubectl! };
}

async function build(directory: string, log: Log): Promise<void> {
  log.info(
    { directory },
    "building Kubernetes' API server, controllers and kubectl (once, about eight minutes)",
  );
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), ".kubernetes-"));
  try {
    const packages = names.map((name) => `k8s.io/kubernetes/cmd/${name}`);
    const { status, stderr } = await runCommand(
      await requireGo(log),
      ["build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", `${work}/`, ...packages],
      { cwd: moduleDirectory, env: await goEnvironment(log), timeoutMs: buildTimeoutMs },
    );
    if (status !== 0)
      throw new SystemError("not-found", `cannot build Kubernetes' programs: ${stderr.trim().slice(-800)}`);
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
