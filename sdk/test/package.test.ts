import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Host, loadModule } from "./host.ts";
import { startHost } from "./modules.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

describe("the package", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "plugin-sdk-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("compiles a plugin in an empty folder", async () => {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], {
      cwd: `${root}sdk`,
    });
    const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
    const foreign = files.filter(
      ({ path }) => !/^(assembly|runtime|docs)\/|^(index\.ts|.*\.json|README\.md)$/.test(path),
    );
    assert.deepEqual(foreign, []);
    const installed = join(folder, "node_modules/@wasmline/plugin-sdk");
    await mkdir(installed, { recursive: true });
    await run("tar", ["-xzf", join(folder, filename), "-C", installed, "--strip-components=1"]);
    // What `npm install assemblyscript` would put there.
    await symlink(`${root}node_modules/assemblyscript`, join(folder, "node_modules/assemblyscript"));

    await mkdir(join(folder, "assembly"));
    await writeFile(join(folder, "assembly/index.ts"), await readSource("sdk/README.md"));
    const config = { extends: "./node_modules/@wasmline/plugin-sdk/asconfig.json" };
    await writeFile(join(folder, "asconfig.json"), JSON.stringify(config));
    const asc = `${root}node_modules/assemblyscript/bin/asc.js`;
    await run(process.execPath, [asc, "assembly/index.ts", "-o", "plugin.wasm"], { cwd: folder });
    const module = await loadModule(join(folder, "plugin.wasm"));
    const stream = startHost(module, { name: "you" }).request([[":authority", "foo.com"]]);
    assert.deepEqual(stream.headers("request")?.[1], ["x-greeting", "hello you"]);
    stream.end();
    const refused = new Host(module);
    assert.equal(refused.start({ name: 1 }), false);
    assert.deepEqual(refused.logs, ["configuration: name is 1: expected a string"]);
  });

  for (const guide of ["first-plugin", "from-go", "from-rust"])
    it(`compiles what docs/plugins/${guide}.md shows`, async () => {
      await writeFile(join(folder, "assembly/guide.ts"), await readSource(`docs/plugins/${guide}.md`));
      // Quicker than with what makes it small.
      const use = "abort=~lib/@wasmline/plugin-sdk/assembly/abort/abortPlugin";
      const options = ["--config", "none", "--exportStart", "_initialize", "--use", use];
      const asc = `${root}node_modules/assemblyscript/bin/asc.js`;
      await run(process.execPath, [asc, "assembly/guide.ts", "-o", "guide.wasm", ...options], {
        cwd: folder,
      });
      const config = { name: "you", cluster: "check" };
      const host = startHost(await loadModule(join(folder, "guide.wasm")), config);
      host.request([[":authority", "foo.com"]]).end();
    });

  it("has a page of its API that is up to date and explains every export", async () => {
    const { describeApi } = (await import(new URL("scripts/sdk-api.mjs", `file://${root}`).href)) as {
      describeApi(): Promise<string>;
    };
    const page = await readFile(`${root}sdk/docs/api.md`, "utf8");
    assert.equal(page, await describeApi(), "run: node scripts/sdk-api.mjs");
    assert.deepEqual(page.match(/^### .*\n\n\n/gm) ?? [], []);
  });
});

/** The first program of a page. */
async function readSource(file: string): Promise<string> {
  const page = await readFile(`${root}${file}`, "utf8");
  return /```ts\n(.*?)```/s.exec(page)?.[1] ?? "";
}
