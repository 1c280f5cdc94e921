// The same guests and cases in a real Envoy and in our host. Each case's expectations hold in Envoy, its result is the
// recorded one, and the host's differs from it in nothing but what differences.yaml has.
// `node --import tsx test/guests/differential.test.ts [--update | --recorded] [NAME…]`: some files of cases only; `--update`
// writes the records and the differences, `--recorded` compares with the records and starts no Envoy.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Case, type CaseFile, readCaseFile } from "./case-file.ts";
import {
  type Difference,
  findDifferences,
  type IntendedDifference,
  intendedFor,
  readIntended,
  writeIntended,
} from "./differences.ts";
import { createEnvoyRunner, type EnvoyRunner } from "./envoy-runner.ts";
import { findFailures } from "./expect.ts";
import { createHostRunner, type HostRunner } from "./host-runner.ts";
import {
  type RecordedResult,
  type RecordedResults,
  readRecorded,
  toRecorded,
  writeRecorded,
} from "./recorded.ts";

const folder = fileURLToPath(new URL("cases", import.meta.url));
const update = process.argv.includes("--update");
const fromRecord = process.argv.includes("--recorded");
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const names = (await readdir(folder))
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => basename(name, ".yaml"))
  .sort();
const files = await Promise.all(names.map((name) => readCaseFile(join(folder, `${name}.yaml`))));
const intended = await readIntended();
const found = new Map<string, readonly Difference[]>();

describe("guests in a real Envoy and in our host", () => {
  let envoy: EnvoyRunner | undefined;
  let host: HostRunner;
  before(async () => {
    host = createHostRunner();
    if (!fromRecord) envoy = await createEnvoyRunner();
  });
  after(async () => {
    host.close();
    await envoy?.close();
    if (update) await writeIntended(found);
  });
  for (const [i, name] of names.entries())
    if (wanted.length === 0 || wanted.includes(name)) testFile(name, files[i]!, () => ({ envoy, host }));
});

it("no difference is listed of a case that is gone", () => {
  const all = new Set(files.flatMap((file, i) => file.cases.map((each) => `${names[i]}: ${each.name}`)));
  const listed = intended.flatMap((each: IntendedDifference) => Object.keys(each.cases));
  assert.deepEqual(
    listed.filter((name) => !all.has(name)),
    [],
  );
});

interface Runners {
  readonly envoy: EnvoyRunner | undefined;
  readonly host: HostRunner;
}

function testFile(name: string, file: CaseFile, runners: () => Runners): void {
  describe(name, async () => {
    const recorded = await readRecorded(file);
    const results: Record<string, RecordedResult> = {};
    for (const test of file.cases) {
      it(test.name, async () => {
        const { envoy, host } = runners();
        const ofEnvoy = envoy ? await checkInEnvoy(envoy, file, test, recorded) : recorded[test.name]!;
        results[test.name] = ofEnvoy;
        const differences = findDifferences(ofEnvoy, toRecorded(await host.run(file, test)));
        found.set(`${name}: ${test.name}`, differences);
        if (!update) assert.deepEqual(differences, intendedFor(intended, name, test.name));
      });
    }
    if (update) after(() => writeWhole(file, results));
    else
      it("has no records of cases that are gone", () =>
        assert.deepEqual(Object.keys(recorded), caseNames(file)));
  });
}

async function checkInEnvoy(
  envoy: EnvoyRunner,
  file: CaseFile,
  test: Case,
  recorded: RecordedResults,
): Promise<RecordedResult> {
  const result = await envoy.run(file, test);
  assert.deepEqual(findFailures(test, result), [], JSON.stringify(result.logs, null, 1));
  if (!update) assert.deepEqual(toRecorded(result), recorded[test.name]);
  return toRecorded(result);
}

const caseNames = (file: CaseFile) => file.cases.map(({ name }) => name);

async function writeWhole(file: CaseFile, results: Record<string, RecordedResult>): Promise<void> {
  assert.deepEqual(Object.keys(results), caseNames(file), "every case must have a result");
  await writeRecorded(file, results);
}
