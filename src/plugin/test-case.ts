import { compareOutcome, type Failure } from "./compare-outcome.ts";
import { type CasePlugin, type CaseWatch, runCase } from "./run-case.ts";
import type { PluginTestCase } from "./test-file.ts";

/** What came of a case that ran to its end. */
export interface TestResult {
  readonly failures: readonly Failure[];
  readonly durationMs: number;
}

/** Runs a case and compares what came of it with what it expects. */
export function testCase(test: PluginTestCase, plugin: CasePlugin, watch?: CaseWatch): TestResult {
  const begin = performance.now();
  const failures = compareOutcome(test.expect, runCase(test, plugin, watch));
  return { failures, durationMs: performance.now() - begin };
}
