import type { Heartbeat } from "../proxy-wasm/index.ts";
import { compareOutcome, type Failure } from "./compare-outcome.ts";
import { createReachObserver } from "./coverage.ts";
import { type CasePlugin, runCase } from "./run-case.ts";
import type { PluginTestCase } from "./test-file.ts";

/** What came of a case that ran to its end. */
export interface TestResult {
  readonly failures: readonly Failure[];
  readonly durationMs: number;
  /** The callbacks and host functions that were called. */
  readonly reached: readonly string[];
}

/** Runs a case and compares what came of it with what it expects. */
export function testCase(test: PluginTestCase, plugin: CasePlugin, heartbeat?: Heartbeat): TestResult {
  const reached = new Set<string>();
  const begin = performance.now();
  const outcome = runCase(test, plugin, { heartbeat, observer: createReachObserver(reached) });
  const failures = compareOutcome(test.expect, outcome);
  return { failures, durationMs: performance.now() - begin, reached: [...reached] };
}
