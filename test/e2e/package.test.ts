// The packages as npm packs them: nothing is missing for who installs them, and nothing is in them that nobody needs.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

let folder = "";
let packed: Packed;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "package-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: root,
    maxBuffer: 16 << 20,
  });
  [packed] = JSON.parse(stdout) as [Packed];
});
after(() => rm(folder, { recursive: true, force: true }));

test("what is packed is what runs, with what it reads", () => {
  const paths = packed.files.map(({ path }) => path);
  const known =
    /^(dist\/.*\.(js|d\.ts)|api\/.*\.(proto|yaml|json)|sdk\/(assembly|runtime|docs)\/.*|sdk\/[\w.]+|templates\/.*|build\/images\/.*|deploy\/.*|package\.json|README\.md|LICENSE)$/;
  assert.deepEqual(
    paths.filter((path) => !known.test(path) || /\.test\.(js|ts|d\.ts)/.test(path)),
    [],
  );
  for (const path of [
    ...["dist/cli/main.js", "dist/proxy-wasm/index.d.ts", "sdk/asconfig.json", "sdk/assembly/index.ts"],
    ...["assemblyscript/assembly/index.ts", "go/go.sum", "rust/Cargo.lock", "common/wasmplugin.yaml"].map(
      (file) => `templates/${file}`,
    ),
  ])
    assert.ok(paths.includes(path), path);
});

test("installed, it makes a plugin, builds it, and runs its tests", async () => {
  const installed = join(folder, "wasmline");
  await mkdir(installed);
  await run("tar", ["-xzf", join(folder, packed.filename), "-C", installed, "--strip-components=1"]);
  // What `npm install` would bring beside it.
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  const wasmline = (...args: readonly string[]) =>
    run(process.execPath, [join(installed, "dist/cli/main.js"), "plugin", ...args], { cwd: folder });
  await wasmline("new", "mine");
  const { stdout: digest } = await wasmline("build", "mine");
  assert.match(digest, /^sha256:[0-9a-f]{64}\n$/);
  const { stdout } = await wasmline("test", "mine/test/plugin.test.yaml");
  assert.match(stdout, /\n4 passed, 0 failed\n$/);
});
