// What real guests do in a real Envoy: each case's expectations hold, and its result is the recorded one.
// `node --import tsx test/guests/envoy.test.ts --update [NAME…]` writes the records of all files of cases or of these.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type CaseFile, readCaseFile } from "./case-file.ts";
import { createEnvoyRunner, type EnvoyRunner } from "./envoy-runner.ts";
import { findFailures } from "./expect.ts";
import { type RecordedResult, readRecorded, toRecorded, writeRecorded } from "./recorded.ts";

const folder = fileURLToPath(new URL("cases", import.meta.url));
const update = process.argv.includes("--update");
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const names = (await readdir(folder))
  .filter((name) => name.endsWith(".yaml"))
  .filter((name) => wanted.length === 0 || wanted.includes(basename(name, ".yaml")))
  .sort();

describe("guests in a real Envoy", () => {
  let runner: EnvoyRunner;
  before(async () => {
    runner = await createEnvoyRunner();
  });
  after(() => runner.close());
  for (const name of names) testFile(name, () => runner);
});

function testFile(name: string, runner: () => EnvoyRunner): void {
  describe(basename(name, ".yaml"), async () => {
    const file = await readCaseFile(join(folder, name));
    const recorded = await readRecorded(file);
    const results: Record<string, RecordedResult> = {};
    for (const test of file.cases) {
      it(test.name, async () => {
        const result = await runner().run(file, test);
        results[test.name] = toRecorded(result);
        assert.deepEqual(findFailures(test, result), [], JSON.stringify(result.logs, null, 1));
        if (!update) assert.deepEqual(toRecorded(result), recorded[test.name]);
      });
    }
    if (update) after(() => writeWhole(file, results));
    else
      it("has no records of cases that are gone", () =>
        assert.deepEqual(Object.keys(recorded), caseNames(file)));
  });
}

const caseNames = (file: CaseFile) => file.cases.map(({ name }) => name);

async function writeWhole(file: CaseFile, results: Record<string, RecordedResult>): Promise<void> {
  assert.deepEqual(Object.keys(results), caseNames(file), "every case must have a result");
  await writeRecorded(file, results);
}
