import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import type { CaseRun } from "./job.ts";
import { loadModule } from "./load-module.ts";
import { loadTests } from "./load-tests.ts";
import { type MadeRequest, makeCase } from "./made-case.ts";

/** What is to be run: a module with a request, or cases of a test file. */
export interface RunChoice extends MadeRequest {
  /** For a module: its configuration. For cases it takes the place of theirs. */
  readonly config: string | undefined;
  /** The name of a case; all of them, if it is left out. */
  readonly caseName: string | undefined;
}

/**
 * Reads what a command is to run: the cases of a test file (`.yaml`, `.yml`, `.json`), or a request to a module.
 * @throws as `loadTests` and `loadModule`; SystemError `not-found` if no case has the name
 */
export async function chooseRuns(
  target: string,
  choice: RunChoice,
  options: RegistryClientOptions = {},
): Promise<readonly CaseRun[]> {
  const { config, caseName } = choice;
  if (!/\.(ya?ml|json)$/.test(target))
    return [makeCase(await loadModule(target, ".", options), config ?? "", choice)];
  const { runs } = await loadTests([target], undefined, options);
  const named = caseName === undefined ? runs : runs.filter(({ test }) => test.name === caseName);
  if (named.length === 0) throw new SystemError("not-found", missing(target, caseName, runs));
  if (config === undefined) return named;
  return named.map((run) => ({ ...run, test: { ...run.test, config } }));
}

function missing(target: string, caseName: string | undefined, runs: readonly CaseRun[]): string {
  if (caseName === undefined) return `${target} has no cases`;
  const names = runs.slice(0, 10).map(({ test }) => JSON.stringify(test.name));
  return `${target} has no case ${JSON.stringify(caseName)}; it has ${runs.length}: ${names.join(", ")}${runs.length > 10 ? ", …" : ""}`;
}
