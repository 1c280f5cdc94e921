import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldPath } from "./diagnostic.ts";
import { locate } from "./locate.ts";

const text = `# comment
kind: "Plugin"
spec:
  base: &base {timeout: 5}
  empty:
  rules:
    - name: ü
      "odd key": 'x'
    -
    - <<: *base
      copy: *base
  text: |
    hello
`;
const at = (path: FieldPath, what?: "key") => {
  const { line, column } = locate({ file: "a", line: 11, text }, path, what);
  return `${line - 10}:${column}`;
};

test("values", () => {
  assert.equal(at([]), "2:1");
  assert.equal(at(["kind"]), "2:7");
  assert.equal(at(["spec"]), "4:3");
  assert.equal(at(["spec", "rules"]), "7:5");
  assert.equal(at(["spec", "rules", 0]), "7:7");
  assert.equal(at(["spec", "rules", 0, "odd key"]), "8:18");
  assert.equal(at(["spec", "base", "timeout"]), "4:25");
});

test("keys", () => {
  assert.equal(at(["kind"], "key"), "2:1");
  assert.equal(at(["spec", "rules", 0, "odd key"], "key"), "8:7");
  assert.equal(at(["spec", "base", "timeout"], "key"), "4:16");
});

test("a value that is left empty is found at its key", () => {
  assert.equal(at(["spec", "empty"]), "5:3");
});

test("through aliases and merge keys", () => {
  assert.equal(at(["spec", "rules", 2, "copy"]), "11:13");
  assert.equal(at(["spec", "rules", 2, "copy", "timeout"]), "4:25");
  assert.equal(at(["spec", "rules", 2, "timeout"]), "4:25");
});

test("what does not exist is found at its nearest parent", () => {
  assert.equal(at(["spec", "rules", 0, "nothing", "below"]), "7:7");
  assert.equal(at(["spec", "nothing"]), "3:1");
  assert.equal(at(["spec", "rules", 9]), "6:3");
  assert.equal(at(["nothing"]), "2:1");
});

test("an item of a List is found through its origin", () => {
  const list = "kind: List\nitems:\n- a: 1\n- a: 2\n";
  assert.deepEqual(locate({ file: "a", line: 1, text: list, path: ["items", 1] }, ["a"]), {
    line: 4,
    column: 6,
  });
});

test("a text that cannot be read is found at its first line", () => {
  assert.deepEqual(locate({ file: "a", line: 7, text: "a: [" }, ["a"]), { line: 7, column: 1 });
});
