import type { Failure } from "./compare-outcome.ts";
import type { Coverage } from "./coverage.ts";

/** What came of one case, for a report. */
export interface CaseResult {
  readonly file: string;
  readonly name: string;
  readonly ok: boolean;
  readonly failures: readonly Failure[];
  /** Where the case stands in its file, from 1. */
  readonly line: number;
  readonly column: number;
  readonly durationMs: number;
}

export type ReportFormat = "text" | "json" | "junit";

/**
 * Prints results. `json` is `{passed, failed, cases: [{file, name, ok, failures: [{path, expected, actual}]}], coverage:
 * [{module, callbacks, hostFunctions}]}`.
 */
export function formatReport(
  results: readonly CaseResult[],
  format: ReportFormat,
  coverage: readonly Coverage[] = [],
): string {
  if (format === "junit") return formatJunit(results);
  return format === "json" ? formatJson(results, coverage) : formatText(results, coverage);
}

function count(results: readonly CaseResult[]): { readonly passed: number; readonly failed: number } {
  const passed = results.filter(({ ok }) => ok).length;
  return { passed, failed: results.length - passed };
}

function formatText(results: readonly CaseResult[], coverage: readonly Coverage[]): string {
  const { passed, failed } = count(results);
  const lines = results.flatMap(({ file, line, name, ok, failures }) => [
    `${ok ? "ok  " : "FAIL"} ${file}:${line} ${name}`,
    ...failures.flatMap(describeFailure),
  ]);
  return [...lines, ...coverage.flatMap(describeCoverage), `${passed} passed, ${failed} failed`, ""].join(
    "\n",
  );
}

/** A case that failed, for people whose editors go to `file:line:column`. */
export function describeFailures({ file, line, column, name, failures }: CaseResult): string[] {
  return [`${file}:${line}:${column}: error TEST_FAILED: ${name}`, ...failures.flatMap(describeFailure)];
}

/** What no case has come to: nothing, if there is nothing. */
function describeCoverage({ module, callbacks, hostFunctions }: Coverage): string[] {
  return [
    ...(callbacks.length > 0 ? [`never called in ${module}: ${callbacks.join(", ")}`] : []),
    ...(hostFunctions.length > 0 ? [`never called by ${module}: ${hostFunctions.join(", ")}`] : []),
  ];
}

function describeFailure({ path, expected, actual }: Failure): string[] {
  return [`     ${path}`, `       expected ${oneLine(expected)}`, `       actual   ${oneLine(actual)}`];
}

function oneLine(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

function formatJson(results: readonly CaseResult[], coverage: readonly Coverage[]): string {
  const cases = results.map(({ file, name, ok, failures }) => ({
    file,
    name,
    ok,
    failures: failures.map(({ path, expected, actual }) => ({ path, expected, actual: actual ?? null })),
  }));
  return `${JSON.stringify({ ...count(results), cases, coverage }, null, 2)}\n`;
}

/** JUnit's XML, as CI systems read it: a suite for each file. */
function formatJunit(results: readonly CaseResult[]): string {
  const files = [...new Set(results.map(({ file }) => file))];
  const suites = files.map((file) =>
    formatSuite(
      file,
      results.filter((result) => result.file === file),
    ),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("")}</testsuites>\n`;
}

function formatSuite(file: string, results: readonly CaseResult[]): string {
  const { failed } = count(results);
  const seconds = results.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
  const cases = results.map(({ name, durationMs, failures }) => {
    const text = failures.flatMap(describeFailure).join("\n");
    const failure =
      failures.length === 0
        ? ""
        : `<failure message="${escapeXml(failures.map(({ path }) => path).join(", "))}">${escapeXml(text)}</failure>`;
    const attributes = `classname="${escapeXml(file)}" name="${escapeXml(name)}" time="${(durationMs / 1000).toFixed(3)}"`;
    return `    <testcase ${attributes}>${failure}</testcase>\n`;
  });
  const attributes = `name="${escapeXml(file)}" tests="${results.length}" failures="${failed}" time="${seconds.toFixed(3)}"`;
  return `  <testsuite ${attributes}>\n${cases.join("")}  </testsuite>\n`;
}

/** XML has no way to write most control characters. */
function escapeXml(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text
    .replace(/[&<>"]/g, (character) => names[character]!)
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}
