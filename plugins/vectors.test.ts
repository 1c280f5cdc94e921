import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { buildPlugin } from "../sdk/test/modules.ts";
import { testCase } from "../src/plugin/test-case.ts";
import { compileModule } from "../src/proxy-wasm/index.ts";
import { pluginsWithVectors, readKnownFailures, readPluginVectors } from "../test/plugins/vector-files.ts";

// What Higress' plugins of these names answered. What ours do not answer so is listed in known-failures.txt, and leaves the
// list when they do.

describe("plugins answer as Higress' do", () => {
  for (const name of pluginsWithVectors)
    it(name, async () => {
      const module = await compileModule(await readFile(await buildPlugin(name)), { name });
      const { cases, vmConfig, env } = await readPluginVectors(name);
      const results = cases.map((each) => ({
        name: each.name,
        ...testCase(each, { module, vmConfig, env }),
      }));
      const failed = results.filter(({ failures }) => failures.length > 0);
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
