import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readResources } from "../src/resource/read-resources.ts";
import { generatePlugins } from "./generate-plugins.ts";

const base = mkdtempSync(join(tmpdir(), "wasmline-generate-"));
after(() => rmSync(base, { recursive: true, force: true }));

for (const oneFile of [false, true])
  test(`plugins without a fault, ${oneFile ? "in one file" : "in a file each"}`, async () => {
    const directory = join(base, String(oneFile));
    const bytes = generatePlugins(directory, 3, 4, { oneFile });
    assert.equal(readdirSync(directory).length, oneFile ? 1 : 3);
    const { set, diagnostics } = await readResources([directory]);
    assert.deepEqual(diagnostics, []);
    assert.deepEqual(
      set.wasmPlugins.map(({ spec }) => spec.matchRules.length),
      [4, 4, 4],
    );
    assert(bytes > 3 * 4 * 100);
  });
