import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory, isExecutable } from "../../src/agent/install-envoy.ts";
import type { Log } from "../../src/log.ts";
import { runCommand } from "../../src/run-command.ts";
import { SystemError } from "../../src/system-error.ts";
import { goEnvironment, requireGo } from "./go.ts";

/** Programs that are built from their Go modules. */
export interface GoPrograms {
  /** The folder beside this file whose go.mod and go.sum pin them. */
  readonly module: string;
  /** Their packages; each is named by its last part. */
  readonly packages: readonly string[];
  /** What to expect of two cores. */
  readonly minutes: number;
  /** Strings that the linker sets, by the variable's full name: what a release's own build does. */
  readonly variables?: Readonly<Record<string, string>>;
}

const buildTimeoutMs = 30 * 60_000;

/** The paths of programs in the cache, in the order of their packages; built where they are not there. */
export async function requireGoPrograms(
  { module, packages, minutes, variables = {} }: GoPrograms,
  log: Log,
): Promise<string[]> {
  const source = fileURLToPath(new URL(`${module}/`, import.meta.url));
  const linkerFlags = Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`);
  const pinned = createHash("sha256").update(await readFile(join(source, "go.sum")));
  for (const flag of linkerFlags) pinned.update(flag);
  const directory = join(cacheDirectory(), `${module}-${pinned.digest("hex").slice(0, 12)}`);
  const paths = packages.map((name) => join(directory, basename(name)));
  if ((await Promise.all(paths.map(isExecutable))).every(Boolean)) return paths;
  log.info({ directory, minutes }, `building ${module} (once, in about as many minutes of two cores)`);
  await mkdir(cacheDirectory(), { recursive: true });
  const work = await mkdtemp(join(cacheDirectory(), `.${module}-`));
  try {
    const { status, stderr } = await runCommand(
      await requireGo(log),
      [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        ["-s -w", ...linkerFlags].join(" "),
        "-o",
        `${work}/`,
        ...packages,
      ],
      { cwd: source, env: await goEnvironment(log), timeoutMs: buildTimeoutMs },
    );
    if (status !== 0)
      throw new SystemError("not-found", `cannot build ${module}: ${stderr.trim().slice(-800)}`);
    await rename(work, directory).catch(() => {});
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return paths;
}
