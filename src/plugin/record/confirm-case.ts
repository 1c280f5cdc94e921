import type { JsonObject, JsonValue } from "../../resource/types.ts";
import type { Failure } from "../compare-outcome.ts";
import type { NamedModule } from "../job.ts";
import type { RunCasesOptions } from "../run-cases.ts";
import { runTests } from "../run-tests.ts";
import { parseTestFile } from "../test-file.ts";
import type { RecordedCase } from "./recorded-case.ts";
import { newTestFile } from "./write-case.ts";

/** A case that passes, and what of the recording it leaves out because it is otherwise when the case runs. */
export interface ConfirmedCase {
  readonly recorded: RecordedCase;
  readonly leftOut: readonly Failure[];
}

/** A plugin may read clocks, shared data and, where they were redacted, secrets: such cases come out otherwise, in parts. */
const maxRounds = 3;

/** Runs a recorded case with a module, and expects only what holds there too. */
export async function confirmCase(
  recorded: RecordedCase,
  module: NamedModule,
  options: RunCasesOptions = {},
): Promise<ConfirmedCase> {
  const leftOut: Failure[] = [];
  let { expect } = recorded;
  for (let round = 0; round < maxRounds; round++) {
    const failures = await failuresOf({ ...recorded, expect }, module, options);
    if (failures.length === 0) break;
    leftOut.push(...failures);
    for (const { path } of failures) expect = without(expect, path);
  }
  return { recorded: { ...recorded, expect }, leftOut };
}

async function failuresOf(
  recorded: RecordedCase,
  module: NamedModule,
  options: RunCasesOptions,
): Promise<readonly Failure[]> {
  const file = "the recorded case";
  const { tests } = parseTestFile(newTestFile(recorded, module.name).text, file);
  const runs = tests!.cases.map((test) => ({ file, module, vmConfig: tests!.vmConfig, env: {}, test }));
  const { results } = await runTests({ runs, modules: [module] }, options);
  return results.flatMap(({ failures }) => failures);
}

/** An expectation without the part that a failure names, as `request.headers` or `calls[0].body`. */
function without(expect: JsonObject, path: string): JsonObject {
  return (remove(expect, path.split(/\.|(?=\[)/)) ?? {}) as JsonObject;
}

/** Undefined where nothing is left. */
function remove(value: JsonValue, [step, ...rest]: readonly string[]): JsonValue | undefined {
  if (step === undefined) return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const at = Number(step.slice(1, -1));
    return value.map((each: JsonValue, index) => (index === at ? (remove(each, rest) ?? {}) : each));
  }
  const { [step]: part, ...others } = value as JsonObject;
  const left = part === undefined ? undefined : remove(part, rest);
  if (left !== undefined) return { ...others, [step]: left };
  return Object.keys(others).length === 0 ? undefined : others;
}
