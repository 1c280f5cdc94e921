import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "./diagnostic.ts";
import { parseDocuments } from "./parse.ts";
import type { Resource } from "./types.ts";

const plugin = (name: string, spec = "  url: oci://example.com/p:1\n") =>
  `apiVersion: extensions.higress.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: ${name}\nspec:\n${spec}`;
const messages = (text: string) => parseDocuments(text, "a.yaml").diagnostics.map(formatDiagnostic);
const namesOf = ({ resources }: { resources: readonly Resource[] }) =>
  resources.map(({ metadata }) => metadata.name);
const configOf = (yaml: string) => {
  const indented = yaml.replaceAll(/^/gm, "    ");
  const { resources, diagnostics } = parseDocuments(plugin("p", `  pluginConfig:\n${indented}\n`), "a.yaml");
  assert.deepEqual(diagnostics, []);
  const [resource] = resources;
  return resource?.kind === "WasmPlugin" ? resource.spec.pluginConfig : undefined;
};

test("documents keep their own text and line", () => {
  const text = `# first\n${plugin("a")}---\n\n---\n# only a comment\n--- # another\n${plugin("b")}...\n`;
  const { resources, diagnostics, broken } = parseDocuments(text, "a.yaml");
  assert.deepEqual(diagnostics, []);
  assert.equal(broken, 0);
  assert.deepEqual(
    resources.map(({ origin }) => origin),
    [
      { file: "a.yaml", line: 1, text: `# first\n${plugin("a")}` },
      { file: "a.yaml", line: 13, text: plugin("b") },
    ],
  );
});

test("markers with content, with CRLF, at the very beginning and end, and directives", () => {
  const one = plugin("a").replaceAll("\n", "\r\n");
  assert.deepEqual(namesOf(parseDocuments(`---\r\n${one}---\r\n${plugin("b")}---`, "a.yaml")), ["a", "b"]);
  const flow = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}";
  assert.deepEqual(namesOf(parseDocuments(`${plugin("a")}--- ${flow}\n---\n${plugin("b")}`, "a.yaml")), [
    "a",
    "c",
    "b",
  ]);
  assert.deepEqual(namesOf(parseDocuments(`\uFEFF%YAML 1.1\n# c\n---\n${plugin("a")}`, "a.yaml")), ["a"]);
  assert.deepEqual(namesOf(parseDocuments(`${plugin("a")}...\n---\n${plugin("b")}`, "a.yaml")), ["a", "b"]);
  const literal = plugin("a", "  pluginConfig:\n    text: |\n      x\n      ---\n      y\n");
  assert.deepEqual(namesOf(parseDocuments(literal, "a.yaml")), ["a"]);
});

test("a broken document leaves the others alone and is reported at its line in the file", () => {
  const text = `${plugin("a")}---\na: [1\n---\n${plugin("b")}---\n${plugin("c", "  phase: {\n")}`;
  const parsed = parseDocuments(text, "a.yaml");
  assert.deepEqual(namesOf(parsed), ["a", "b"]);
  assert.equal(parsed.broken, 2);
  assert.deepEqual(
    parsed.diagnostics.map(({ code, at }) => [code, at.line]),
    [
      ["YAML_SYNTAX", 9],
      ["YAML_SYNTAX", 23],
    ],
  );
});

test("diagnostics point at the value, or at the name of an unknown field", () => {
  const spec = "  phase: 'authn'\n  phse: 1\n  matchRules:\n    - domain: a.com\n    - domain: [b.com, 5]\n";
  assert.deepEqual(messages(`---\n${plugin("p", spec)}`), [
    'a.yaml:7:10: error INVALID_VALUE: expected one of UNSPECIFIED_PHASE, AUTHN, AUTHZ, STATS, found the string "authn" (WasmPlugin higress-system/p spec.phase)\n  hint: did you mean AUTHN?',
    'a.yaml:8:3: warning UNKNOWN_FIELD: unknown field "phse" is ignored (WasmPlugin higress-system/p spec.phse)\n  hint: did you mean "phase"?',
    'a.yaml:10:15: error INVALID_VALUE: expected a list, found the string "a.com" (WasmPlugin higress-system/p spec.matchRules[0].domain)',
    "a.yaml:11:23: error INVALID_VALUE: expected a string, found the number 5 (WasmPlugin higress-system/p spec.matchRules[1].domain[1])\n  hint: put the value in quotes",
  ]);
});

test("a missing field points at its nearest parent", () => {
  assert.deepEqual(messages("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: {}\n"), [
    "a.yaml:3:1: error MISSING_FIELD: name is missing (metadata.name)\n  hint: every resource needs metadata.name",
  ]);
  assert.deepEqual(messages("# c\na: 1\n"), ["a.yaml:2:1: error MISSING_FIELD: kind is missing (kind)"]);
});

test("duplicate keys are an error at the second one", () => {
  assert.deepEqual(messages(plugin("p", "  url: a\n  url: b\n")), [
    "a.yaml:7:3: error YAML_SYNTAX: duplicated mapping key",
  ]);
  assert.deepEqual(messages('{"kind": "A",\n "kind": "B"}'), [
    "a.yaml:2:3: error YAML_SYNTAX: duplicated mapping key",
  ]);
});

test("lists are taken apart, each item on its own", () => {
  const item = (name: string, phase: string) =>
    `- apiVersion: extensions.higress.io/v1alpha1\n  kind: WasmPlugin\n  metadata: {name: ${name}}\n  spec: {phase: ${phase}}\n`;
  const text = `apiVersion: v1\nkind: List\nitems:\n${item("a", "AUTHN")}${item("b", "x")}${item("c", "STATS")}`;
  const parsed = parseDocuments(text, "a.yaml");
  assert.deepEqual(namesOf(parsed), ["a", "c"]);
  assert.equal(parsed.broken, 1);
  assert.deepEqual(
    parsed.diagnostics.map(({ at }) => at),
    [
      {
        ref: { kind: "WasmPlugin", namespace: "higress-system", name: "b" },
        path: ["spec", "phase"],
        file: "a.yaml",
        line: 11,
        column: 17,
      },
    ],
  );
  assert.deepEqual(parsed.resources[1]?.origin?.path, ["items", 2]);
  const typed = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: x}\n";
  assert.deepEqual(namesOf(parseDocuments(typed, "a.yaml")), ["x"]);
});

test("JSON, indented by tabs too", () => {
  const value = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "c" },
    data: { a: '\u2028"\\ \u{1F600}' },
  };
  for (const indent of [undefined, 2, "\t"]) {
    const [resource] = parseDocuments(JSON.stringify(value, undefined, indent), "a.json").resources;
    assert.deepEqual(resource?.kind === "ConfigMap" && resource.data, value.data);
  }
});

test("plain scalars are what kubectl takes them for", () => {
  const scalars: readonly (readonly [string, unknown])[] = [
    ["yes", true],
    ["No", false],
    ["on", true],
    ["OFF", false],
    ["y", true],
    ["n", false],
    ["'yes'", "yes"],
    ["~", null],
    ["0644", 420],
    ["0o644", 420],
    ["-0x1F", -31],
    ["0b101", 5],
    ["1_000", 1000],
    ["._5", "._5"],
    ["08", 8],
    ["+12", 12],
    ["1e3", 1000],
    [".5", 0.5],
    ["12:30", "12:30"],
    ["190:20:30", "190:20:30"],
    ["2024-01-02", "2024-01-02"],
    ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"],
    ["1.2.3", "1.2.3"],
    ["1e999", "1e999"],
    ["=", "="],
    ["!!str 5", "5"],
    ["!!float 5", 5],
  ];
  for (const [text, expected] of scalars) assert.deepEqual(configOf(`a: ${text}`), { a: expected }, text);
  assert.deepEqual(configOf("yes: 1\n5: 2\n1.5: 3"), { true: 1, 5: 2, 1.5: 3 });
});

test("anchors, aliases and merge keys", () => {
  assert.deepEqual(configOf("a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: *x\n  b: 3"), {
    a: { b: 1, c: 2 },
    d: { b: 1, c: 2 },
    e: { b: 3, c: 2 },
  });
});

test("numbers that JSON does not have are errors in configurations", () => {
  const text = plugin("p", "  defaultConfig:\n    a: .inf\n    b: [.nan]\n");
  assert.deepEqual(
    parseDocuments(text, "a.yaml").diagnostics.map(({ code, at }) => [code, at.line, at.column]),
    [
      ["INVALID_VALUE", 7, 8],
      ["INVALID_VALUE", 8, 9],
    ],
  );
});

test("expansion bombs, loops and deep nesting are refused", () => {
  const levels = Array.from(
    { length: 9 },
    (_, i) => `    l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`)}]\n`,
  );
  const bomb = plugin("p", `  pluginConfig:\n    l0: &l0 [x]\n${levels.join("")}`);
  const loop = plugin("p", "  pluginConfig: &a\n    b: *a\n");
  const deep = plugin("p", `  pluginConfig: {a: ${"[".repeat(200)}${"]".repeat(200)}}\n`);
  const deepJson = `{\t"a":${"[".repeat(5000)}${"]".repeat(5000)}}`;
  for (const text of [bomb, loop, deep, deepJson]) {
    const { resources, diagnostics, broken } = parseDocuments(text, "a.yaml");
    assert.deepEqual(resources, []);
    assert.equal(broken, 1);
    assert.equal(diagnostics[0]?.code, "YAML_SYNTAX");
  }
});

test("no message quotes the text of a document", () => {
  const text =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: hunter2\n b: hunter2: [\n";
  assert.equal(messages(text).length, 1);
  assert.doesNotMatch(messages(text).join(), /hunter2/);
});

test("the same text again is the identical value", () => {
  const text = `${plugin("a")}---\n${plugin("b", "  phse: 1\n")}`;
  const previous = parseDocuments(text, "a.yaml");
  assert.equal(parseDocuments(text, "a.yaml", { previous }), previous);
});

test("an edited document leaves the resources of the others identical", () => {
  const previous = parseDocuments(`${plugin("a")}---\n${plugin("b")}---\n${plugin("c")}`, "a.yaml");
  const edited = parseDocuments(`${plugin("a")}---\n${plugin("x")}---\n${plugin("c")}`, "a.yaml", {
    previous,
  });
  assert.equal(edited.resources[0], previous.resources[0]);
  assert.equal(edited.resources[2], previous.resources[2]);
  assert.equal(edited.resources[1]?.metadata.name, "x");
});

test("a document that only moved is not read again", () => {
  const text = plugin("a", "  phse: 1\n");
  const previous = parseDocuments(text, "a.yaml");
  const moved = parseDocuments(`# more\n---\n${text}`, "a.yaml", { previous });
  assert.equal(moved.resources[0], previous.resources[0]);
  assert.equal(moved.resources[0]?.origin?.line, 3);
  assert.equal(moved.diagnostics[0]?.at.line, 8);
});
