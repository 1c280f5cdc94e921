import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTestFile } from "../test-file.ts";
import type { RecordedCase } from "./recorded-case.ts";
import { appendCase, newTestFile } from "./write-case.ts";

const recorded: RecordedCase = {
  name: "recorded: GET a.com/, 200",
  config: { greeting: "hi: #1", list: [1, { two: [true] }] },
  vmConfig: "",
  inputs: {
    properties: { route_name: "a", "destination.port": { base64: "kB8AAAAAAAA=" } },
    request: {
      headers: [
        [":method", "GET"],
        ["x-text", "- : # é \u0085"],
      ],
      body: ["one\n", { base64: "/w==" }],
    },
    calls: [{ upstream: "auth", fails: true }],
  },
  expect: {
    request: { action: "pause", body: { base64: "/w==" } },
    local: "none",
    calls: [{ upstream: "auth", headers: [] }],
  },
};

test("what is written is read again", () => {
  const { text } = newTestFile(recorded, "../build/plugin.wasm");
  const { tests, diagnostics } = parseTestFile(text, "new.yaml");
  assert.deepEqual(diagnostics, []);
  const [one] = tests!.cases;
  assert.equal(tests!.module, "../build/plugin.wasm");
  assert.deepEqual(JSON.parse(one!.config), recorded.config);
  assert.deepEqual(
    one!.request!.headers,
    recorded.inputs.request && [
      [":method", "GET"],
      ["x-text", "- : # é \u0085"],
    ],
  );
  assert.deepEqual(
    one!.request!.body!.map((piece) => Buffer.from(piece).toString("latin1")),
    ["one\n", "\u00ff"],
  );
  assert.deepEqual(one!.properties["destination.port"], Buffer.from([0x90, 0x1f, 0, 0, 0, 0, 0, 0]));
  assert.equal(one!.calls[0]!.fails, true);
  assert.equal(one!.expect.local, "none");
});

test("a case is added behind the others, in their indentation, with another name and its own configuration if that differs", () => {
  const before =
    "# mine\nmodule: a.wasm\nconfig: {x: 1}\ncases:\n- name: 'recorded: GET a.com/, 200'\n  expect: {}\n\n# end\n";
  const { text, name } = appendCase(before, "a.yaml", recorded);
  assert.ok(text.startsWith(before.trimEnd()));
  assert.equal(name, "recorded: GET a.com/, 200 (2)");
  const again = appendCase(text, "a.yaml", { ...recorded, config: { x: 1 } });
  const { tests } = parseTestFile(again.text, "a.yaml");
  assert.deepEqual(
    tests!.cases.map((each) => [each.name, each.config.slice(0, 12)]),
    [
      ["recorded: GET a.com/, 200", '{"x":1}'],
      ["recorded: GET a.com/, 200 (2)", '{"greeting":'],
      ["recorded: GET a.com/, 200 (3)", '{"x":1}'],
    ],
  );
});

test("a file that does not end with its cases keeps them", () => {
  for (const text of [
    "cases: [{name: a, expect: {}}]\nmodule: a.wasm\n",
    "cases:\n  - {name: a, expect: {}}\nconfig: {}\n",
  ])
    assert.throws(() => appendCase(text, "a.yaml", recorded), /a\.yaml does not end with its list of cases/);
});
