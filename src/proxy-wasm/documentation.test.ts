import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("the example of the documentation prints what it says", async () => {
  const page = await readFile(join(root, "docs/proxy-wasm.md"), "utf8");
  const [, code = "", printed] = /```js\n(.*?)```.*?```\n(.*?)```/s.exec(page)!;
  const dir = await mkdtemp(join(tmpdir(), "wasmline-"));
  try {
    const file = join(dir, "example.mjs");
    const source = new URL("index.ts", import.meta.url).href;
    await writeFile(file, code.replace('"wasmline/proxy-wasm"', JSON.stringify(source)));
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", file], { cwd: root });
    assert.equal(stdout, printed);
  } finally {
    await rm(dir, { recursive: true });
  }
});
