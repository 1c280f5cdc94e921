import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SystemError } from "../system-error.ts";
import type { EnvoyBootstrap } from "./envoy-bootstrap.ts";
import { findFault, type StartEnvoyOptions } from "./start-envoy.ts";

/** Where the options of each start of Envoy come from. */
export interface StartSource extends Omit<StartEnvoyOptions, "bootstrapPath" | "overrides" | "epoch"> {
  /** Settings, as JSON or YAML, that Envoy merges over the bootstrap; read at each start. */
  readonly overridesPath?: string;
}

/** What fits into an argument of a program. */
const maxOverridesBytes = 120 * 1024;

/**
 * What Envoy is started with, from the files that are there now.
 * @throws SystemError `disk` where the settings cannot be read
 */
export async function readStart(options: StartSource, bootstrapPath: string): Promise<StartEnvoyOptions> {
  const { overridesPath } = options;
  const overrides = overridesPath === undefined ? "" : await readOverrides(overridesPath);
  return { ...options, bootstrapPath, overrides };
}

async function readOverrides(path: string): Promise<string> {
  try {
    const text = await readFile(path, "utf8");
    const size = Buffer.byteLength(text);
    if (size <= maxOverridesBytes) return text;
    throw new Error(`it has ${size} bytes, expected at most ${maxOverridesBytes}`);
  } catch (error) {
    throw SystemError.from(error, "disk", `cannot read ${path}, the settings for Envoy's bootstrap`);
  }
}

/** After a crash: what is at the files, unless Envoy would not take it but took what was there before. */
export async function nextStart(options: StartSource, last: StartEnvoyOptions): Promise<StartEnvoyOptions> {
  try {
    const next = await readStart(options, last.bootstrapPath);
    if (next.overrides === last.overrides || (await findFault(next)) === "") return next;
  } catch {
    // What it was started with before is still known.
  }
  return last;
}

/** Writes `envoy-bootstrap.json`, complete or not at all: an Envoy that is being restarted may be reading it. */
export async function writeBootstrap(dataDir: string, bootstrap: EnvoyBootstrap): Promise<string> {
  const path = join(dataDir, "envoy-bootstrap.json");
  await mkdir(dataDir, { recursive: true });
  await writeFile(`${path}.new`, JSON.stringify(bootstrap, null, 2), { mode: 0o600 });
  await rename(`${path}.new`, path);
  return path;
}
