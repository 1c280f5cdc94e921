import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { dump, load } from "js-yaml";
import type { CaseFile } from "./case-file.ts";
import type { CaseResult, LogResult } from "./case-result.ts";

/** A result as it is written to a file: log lines are texts that begin with their level. */
export interface RecordedResult extends Omit<CaseResult, "logs"> {
  readonly logs: readonly string[];
}

/** What Envoy did in each case of a file, by the case's name. */
export type RecordedResults = Readonly<Record<string, RecordedResult>>;

/** A result in the form of the recorded ones, to be compared with them field by field. */
export function toRecorded(result: CaseResult): RecordedResult {
  return { ...result, logs: result.logs.map(recordedLine) };
}

/** A date is another one at each run, and so is the time that an upstream took; a queue's number is by those before it. */
function recordedLine({ level, message }: LogResult): string {
  return `${level} ${message}`
    .replace(/\b(x-envoy-upstream-service-time(?:: |=))\d+/g, "$1MS")
    .replace(/^(info on_queue_ready \d+) \d+$/, "$1 QUEUE")
    .replace(/\b(date(?:: |=))\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, "$1DATE");
}

function recordFile({ file }: CaseFile): string {
  return join(dirname(file), "../recorded", basename(file));
}

/** Reads what Envoy did in the cases of a file. */
export async function readRecorded(cases: CaseFile): Promise<RecordedResults> {
  const text = await readFile(recordFile(cases), "utf8").catch(() => "{}");
  return load(text) as RecordedResults;
}

/** Writes what Envoy did in the cases of a file. */
export async function writeRecorded(cases: CaseFile, results: RecordedResults): Promise<void> {
  const intro = `# What Envoy did in the cases of cases/${basename(cases.file)}. Written by: node --import tsx test/guests/differential.test.ts --update\n`;
  await writeFile(recordFile(cases), intro + dump(results, { flowLevel: 4, lineWidth: -1, noRefs: true }));
}
