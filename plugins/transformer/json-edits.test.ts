import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { buildPlugin } from "../../sdk/test/modules.ts";
import { runCase } from "../../src/plugin/run-case.ts";
import type { PluginTestCase } from "../../src/plugin/test-file.ts";
import { compileModule } from "../../src/proxy-wasm/index.ts";

// What gjson 1.18.0, sjson 1.2.5 and pretty 1.2.1 made of bodies that were made at random; null where sjson gave an error.

interface Edit {
  readonly json: string;
  readonly operations: readonly (readonly [operate: string, path: string, argument: string, type?: string])[];
  readonly result: string | null;
}

const head = [":authority", ":path", ":method", ":scheme"].map((name) => [name, "a"] as const);

test("JSON bodies become what Higress' libraries make of them", async () => {
  const module = await compileModule(await readFile(await buildPlugin("transformer")), {
    name: "transformer",
  });
  const text = await readFile(new URL("test/json-edits.json", import.meta.url), "utf8");
  const edits = JSON.parse(text) as Edit[];
  for (const { json, operations, result } of edits) {
    const reqRules = operations.map(([operate, path, argument, type]) => ({
      operate,
      body: [{ ...keysOf(path, argument), ...(type && { value_type: type }) }],
    }));
    const each: PluginTestCase = {
      ...{ name: json, line: 1, column: 1, properties: {}, calls: [], expect: {} },
      config: JSON.stringify({ strict: true, reqRules }),
      request: { headers: [...head, ["content-type", "application/json"]], body: [Buffer.from(json)] },
    };
    const { request } = runCase(each, { module, vmConfig: "", env: {} });
    assert.equal(Buffer.from(request!.body).toString(), result ?? json, JSON.stringify(operations));
  }
  assert.equal(edits.length, 160);
});

/** Parameters of any operation: each takes those it knows. */
function keysOf(path: string, argument: string) {
  return {
    ...{ key: path, oldKey: path, fromKey: path, newKey: argument, toKey: argument },
    ...{ newValue: argument, value: argument, appendValue: argument, strategy: argument },
  };
}
