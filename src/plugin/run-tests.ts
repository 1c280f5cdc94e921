import { type Coverage, findCoverage } from "./coverage.ts";
import type { CaseRun, NamedModule } from "./job.ts";
import type { LoadedTests } from "./load-tests.ts";
import type { CaseResult } from "./report.ts";
import { type RunCasesOptions, runCases } from "./run-cases.ts";
import type { TestResult } from "./test-case.ts";

export interface TestReport {
  readonly results: readonly CaseResult[];
  readonly coverage: readonly Coverage[];
}

/**
 * Runs all cases and says for each what came of it.
 * @throws SystemError as `runCases`
 */
export async function runTests(
  { runs, modules }: LoadedTests,
  options: RunCasesOptions = {},
): Promise<TestReport> {
  const reached = new Map<NamedModule, Set<string>>(modules.map((module) => [module, new Set()]));
  const results: CaseResult[] = [];
  const onPart = (run: CaseRun, name: unknown) => reached.get(run.module)!.add(String(name));
  const onResult = (run: CaseRun, result: unknown, broken: string | undefined) => {
    const { failures, durationMs } = broken === undefined ? (result as TestResult) : failed(broken);
    const { name, line, column } = run.test;
    results.push({ file: run.file, name, line, column, ok: failures.length === 0, failures, durationMs });
  };
  await runCases(runs, { kind: "test" }, { onPart, onResult }, options);
  return { results, coverage: modules.map((module) => findCoverage(module, reached.get(module)!)) };
}

function failed(broken: string): TestResult {
  return {
    failures: [{ path: "end", expected: "a plugin that goes on", actual: broken }],
    durationMs: 0,
  };
}
