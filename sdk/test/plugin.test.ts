import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Host } from "./host.ts";
import { buildFixture, compileModule, startHost } from "./modules.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

describe("plugin", () => {
  let fixture = "";
  before(async () => {
    fixture = await buildFixture();
  });

  it("works as the README writes it", async () => {
    const readme = await readFile(`${root}sdk/README.md`, "utf8");
    const source = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? "";
    await mkdir(`${root}build/test/greeter`, { recursive: true });
    await writeFile(`${root}build/test/greeter/index.ts`, source);
    const module = await compileModule("build/test/greeter/index.ts", "build/test/greeter.wasm");
    const host = startHost(module, { name: "you" });
    host.end(host.request([[":authority", "foo.com"]]).id);
    assert.deepEqual(host.stream.maps[0], [
      [":authority", "foo.com"],
      ["x-greeting", "hello you"],
    ]);
    const refused = new Host(module);
    assert.equal(refused.start({ name: 1 }), false);
    assert.match(refused.logs.join(), /configuration: .*name is 1: expected a string/);
  });

  it("ends with one line that says what failed and where", () => {
    const host = new Host(fixture);
    assert.throws(() => host.start({ abort: true }), /unreachable/);
    assert.match(host.logs.join("\n"), /^plugin failed: on purpose \(sdk\/fixture\/index\.ts:\d+:\d+\)$/);
  });

  it("holds no path of the machine that compiled it", () => {
    const module = readFileSync(fixture);
    for (const encoding of ["utf8", "utf16le"] as const)
      assert.ok(!module.includes(Buffer.from(root, encoding)));
  });

  it("refuses a configuration that is not JSON", () => {
    const host = new Host(fixture);
    assert.equal(host.startText("{]"), false);
    assert.match(host.logs.join(), /^configuration is not JSON: 1:2: expected a member's name/);
  });
});
