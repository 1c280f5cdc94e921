import assert from "node:assert/strict";
import { test } from "node:test";
import { type CaseResult, formatReport } from "./report.ts";

const results: readonly CaseResult[] = [
  { file: "a.yaml", name: "fine", ok: true, failures: [], line: 3, column: 5, durationMs: 1 },
  {
    file: "a.yaml",
    name: 'a "quoted" <name> & \u0001',
    ok: false,
    failures: [{ path: "local.status", expected: 401, actual: undefined }],
    line: 9,
    column: 5,
    durationMs: 2,
  },
];

test("text: a line for each case, differences below it, the sum at the end", () => {
  assert.equal(
    formatReport(results, "text"),
    `ok   a.yaml:3 fine
FAIL a.yaml:9 a "quoted" <name> & \u0001
     local.status
       expected 401
       actual   nothing
1 passed, 1 failed
`,
  );
});

test("text: what no case came to, before the sum", () => {
  const coverage = [{ module: "a.wasm", callbacks: ["proxy_on_tick"], hostFunctions: ["env.proxy_done"] }];
  assert.equal(
    formatReport([], "text", coverage),
    "never called in a.wasm: proxy_on_tick\nnever called by a.wasm: env.proxy_done\n0 passed, 0 failed\n",
  );
});

test("json: what programs read", () => {
  const coverage = [{ module: "a.wasm", callbacks: ["proxy_on_tick"], hostFunctions: [] }];
  assert.deepEqual(JSON.parse(formatReport(results, "json", coverage)), {
    coverage,
    passed: 1,
    failed: 1,
    cases: [
      { file: "a.yaml", name: "fine", ok: true, failures: [] },
      {
        file: "a.yaml",
        name: results[1]!.name,
        ok: false,
        failures: [{ path: "local.status", expected: 401, actual: null }],
      },
    ],
  });
});

test("junit: a suite for each file, and nothing that is no XML", () => {
  const xml = formatReport(results, "junit");
  assert.match(xml, /<testsuite name="a\.yaml" tests="2" failures="1" time="0\.003">/);
  assert.match(xml, /name="a &quot;quoted&quot; &lt;name&gt; &amp; \ufffd"/);
  assert.match(xml, /<failure message="local\.status">/);
  assert(!xml.includes("\u0001"));
});
