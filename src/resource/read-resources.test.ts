import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readResources } from "./read-resources.ts";

const base = mkdtempSync(join(tmpdir(), "wasmline-read-"));
after(() => rmSync(base, { recursive: true, force: true }));

const configMap = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;
async function* bytesOf(...chunks: string[]) {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

test("files, directories and the standard input together", async () => {
  mkdirSync(join(base, "all/sub"), { recursive: true });
  writeFileSync(join(base, "all/sub/b.yaml"), configMap("b"));
  writeFileSync(join(base, "all/a.yaml"), `${configMap("a")}---\nkind: [\n`);
  writeFileSync(join(base, "one.txt"), configMap("one"));
  const { set, diagnostics } = await readResources([join(base, "all"), "-", join(base, "one.txt")], {
    defaultNamespace: "ns",
    stdin: bytesOf(configMap("in").slice(0, 20), `${configMap("in").slice(20)}---\n`, configMap("a")),
  });
  assert.deepEqual(
    set.configMaps.map(({ metadata, origin }) => [metadata.namespace, metadata.name, origin?.file]),
    [
      ["ns", "a", join(base, "all/a.yaml")],
      ["ns", "b", join(base, "all/sub/b.yaml")],
      ["ns", "one", join(base, "one.txt")],
      ["ns", "in", "<stdin>"],
    ],
  );
  assert.deepEqual(
    diagnostics.map(({ code, at }) => [code, at.file, at.line]),
    [
      ["YAML_SYNTAX", join(base, "all/a.yaml"), 7],
      ["DUPLICATE_RESOURCE", "<stdin>", 9],
    ],
  );
});

test("a path at which there is nothing is a system error", async () => {
  await assert.rejects(readResources([join(base, "nothing")]), { name: "SystemError", code: "not-found" });
});

test("a standard input without end is refused", async () => {
  async function* endless() {
    for (;;) yield Buffer.alloc(1024 * 1024);
  }
  await assert.rejects(readResources(["-"], { stdin: endless() }), {
    name: "SystemError",
    code: "too-large",
  });
});
