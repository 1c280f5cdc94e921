import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "../resource/diagnostic.ts";
import { parseTestFile } from "./test-file.ts";

const full = `module: build/key-auth.wasm
config: {keys: [x-api-key], in_header: true}
env: {REGION: eu}
cases:
  - name: no key
    properties: {route_name: ns/foo, cluster_name: "outbound|80||svc.ns.svc.cluster.local"}
    request: {headers: [[":authority", foo.com], [":status", 200]], body: [a, {base64: /w==}], trailers: {t: 1}}
    calls: [{upstream: auth, status: 403, headers: [], body: no}, {fails: true}]
    expect:
      request: {action: pause}
      local: {status: 401, hasHeaders: [[www-authenticate, Key]], body: "no"}
      logs: [{level: warn, contains: key}]
      metrics: {denied: 1}
  - name: other configuration
    config: plain text
    expect: {start: failed, local: none}
`;

test("a test file: shared settings, cases with what they leave out filled in, and where they stand", () => {
  const { tests, diagnostics } = parseTestFile(full, "a.yaml");
  assert.deepEqual(diagnostics, []);
  const [first, second] = tests!.cases;
  assert.equal(tests!.module, "build/key-auth.wasm");
  assert.deepEqual(tests!.env, { REGION: "eu" });
  assert.equal(first!.config, '{"keys":["x-api-key"],"in_header":true}');
  assert.equal(first!.line, 5);
  assert.deepEqual(first!.request!.headers[1], [":status", "200"]);
  assert.deepEqual(
    first!.request!.body!.map((chunk) => [...chunk]),
    [[97], [255]],
  );
  assert.deepEqual(first!.request!.trailers, [["t", "1"]]);
  assert.deepEqual(
    first!.calls.map(({ upstream, status, fails }) => [upstream, status, fails]),
    [
      ["auth", 403, false],
      [undefined, 200, true],
    ],
  );
  assert.equal(second!.config, "plain text");
  assert.deepEqual(second!.expect, { start: "failed", local: "none" });
  assert.equal(second!.request, undefined);
});

test("no configuration is nothing, an empty one is an empty object", () => {
  const parse = (config: string) =>
    parseTestFile(`${config}\ncases: [{name: a, expect: {}}]`, "a.yaml").tests!.cases[0]!.config;
  assert.equal(parse("module: a.wasm"), "");
  assert.equal(parse("config: {}"), "{}");
});

test("everything that is wrong is said, with its place and what was expected", () => {
  const source = `cases:
  - name: a
    expects: {}
    request: {header: []}
  - name: b
    expect: {request: {action: stop, headers: [[only-name]]}, local: {status: 20}}
`;
  const { tests, diagnostics } = parseTestFile(source, "bad.yaml");
  assert.equal(tests, undefined);
  const lines = diagnostics.map(formatDiagnostic).map((line) => line.split("\n")[0]!);
  assert.deepEqual(
    lines.map((line) => line.split(": ")[0]),
    [
      "bad.yaml:2:5",
      "bad.yaml:3:5",
      "bad.yaml:4:5",
      "bad.yaml:4:15",
      "bad.yaml:6:32",
      "bad.yaml:6:48",
      "bad.yaml:6:79",
    ],
  );
  assert.match(lines.join("\n"), /unknown field "expects"; expected one of name, config/);
  assert.match(lines.join("\n"), /expected one of continue, pause, found the string "stop"/);
  assert.match(lines.join("\n"), /expected a status from 100 to 999, found the number 20/);
  assert.match(formatDiagnostic(diagnostics[1]!), /did you mean "expect"\?/);
});

test("text that is no YAML is one diagnostic", () => {
  const { diagnostics } = parseTestFile("cases: [", "bad.yaml");
  assert.equal(diagnostics.length, 1);
  assert.equal(diagnostics[0]!.code, "YAML_SYNTAX");
});
