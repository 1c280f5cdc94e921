import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type PluginTestFile, parseTestFile } from "../../src/plugin/test-file.ts";

const folder = new URL("../../plugins/", import.meta.url);

/** The plugins of which there is what Higress' plugins of the same names answered. */
export const pluginsWithVectors = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith("test/vectors.yaml"))
  .map((path) => path.split(/[\\/]/)[0]!)
  .sort();

/** What Higress' plugin of this name answered, as a plugin test file. */
export async function readPluginVectors(name: string): Promise<PluginTestFile> {
  const { tests, diagnostics } = parseTestFile(await readTest(name, "vectors.yaml"), name);
  assert.deepEqual(diagnostics, []);
  return tests!;
}

/** Names of the cases in which ours answers something else on purpose. */
export async function readKnownFailures(name: string): Promise<string[]> {
  const text = await readTest(name, "known-failures.txt").catch(() => "");
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

function readTest(name: string, file: string): Promise<string> {
  return readFile(new URL(`${name}/test/${file}`, folder), "utf8");
}
