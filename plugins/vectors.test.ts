import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { buildPlugin } from "../sdk/test/modules.ts";
import type { Failure } from "../src/plugin/compare-outcome.ts";
import { testCase } from "../src/plugin/test-case.ts";
import { type PluginTestFile, parseTestFile } from "../src/plugin/test-file.ts";
import { compileModule, type HeaderLine } from "../src/proxy-wasm/index.ts";

// What Higress' plugins of these names answered. What ours do not answer so is listed in known-failures.txt, and leaves the
// list when they do.

const tests = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith("test/vectors.yaml"))
  .map((path) => path.split(/[\\/]/)[0]!);

async function readTest(name: string, file: string): Promise<string> {
  return readFile(new URL(`${name}/test/${file}`, import.meta.url), "utf8");
}

async function readVectors(name: string): Promise<PluginTestFile> {
  const { tests, diagnostics } = parseTestFile(await readTest(name, "vectors.yaml"), name);
  assert.deepEqual(diagnostics, []);
  return tests!;
}

/** Names of cases, one in each line. */
async function readKnownFailures(name: string): Promise<string[]> {
  const text = await readTest(name, "known-failures.txt").catch(() => "");
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** Lines of other names may stand in any order (RFC 9110, section 5.3), and Higress' transformer sorts them. */
function isOtherOrderOnly({ path, expected, actual }: Failure): boolean {
  return path.endsWith(".headers") && isDeepStrictEqual(byName(expected), byName(actual));
}

function byName(lines: unknown): HeaderLine[] {
  return (lines as HeaderLine[]).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

describe("plugins answer as Higress' do", () => {
  for (const name of tests)
    it(name, async () => {
      const module = await compileModule(await readFile(await buildPlugin(name)), { name });
      const { cases, vmConfig, env } = await readVectors(name);
      const results = cases.map((each) => ({
        name: each.name,
        ...testCase(each, { module, vmConfig, env }),
      }));
      const failed = results.filter(({ failures }) => !failures.every(isOtherOrderOnly));
      const known = await readKnownFailures(name);
      assert.deepEqual(
        failed.filter((each) => !known.includes(each.name)),
        [],
      );
      assert.deepEqual(
        known.filter((each) => !failed.some((one) => one.name === each)),
        [],
        "these pass: they are to be removed from known-failures.txt",
      );
    });
});
