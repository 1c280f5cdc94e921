import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { buildPlugin } from "../sdk/test/modules.ts";
import { testCase } from "../src/plugin/test-case.ts";
import { parseTestFile } from "../src/plugin/test-file.ts";
import { compileModule } from "../src/proxy-wasm/index.ts";

// `strict: true` is the reference to the letter, and so holds in every one of its answers.

/** The program that took down the answers joins what is added to a header that is there; a proxy adds a line. */
const joined = ["pre-existing consumer header"];

describe("with strict: true plugins answer as Higress' do", () => {
  for (const name of ["custom-response", "key-auth"])
    it(name, async () => {
      const module = await compileModule(await readFile(await buildPlugin(name)), { name });
      const text = await readFile(new URL(`${name}/test/vectors.yaml`, import.meta.url), "utf8");
      const cases = parseTestFile(text, name).tests!.cases.filter((each) => !joined.includes(each.name));
      assert.ok(cases.length > 0);
      for (const each of cases) {
        const config = JSON.stringify({ ...JSON.parse(each.config), strict: true });
        const { failures } = testCase({ ...each, config }, { module, vmConfig: "", env: {} });
        assert.deepEqual(failures, [], each.name);
      }
    });
});
