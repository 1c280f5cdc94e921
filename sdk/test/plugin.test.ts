import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Host, loadModule, type PluginModule } from "./host.ts";
import { buildFixture, compileModule } from "./modules.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

describe("plugin", () => {
  let file = "";
  let fixture: PluginModule;
  before(async () => {
    file = await buildFixture();
    fixture = await loadModule(file);
  });

  it("ends with one line that says what failed and where", () => {
    const host = new Host(fixture);
    assert.equal(host.start({ abort: true }), false);
    assert.match(host.logs.join("\n"), /^plugin failed: on purpose \(sdk\/fixture\/index\.ts:\d+:\d+\)$/);
  });

  it("says so too when it fails before the library is set up", async () => {
    const host = new Host(
      await loadModule(await compileModule("sdk/fixture/early.ts", "build/test/early.wasm")),
    );
    assert.equal(host.start({}), false);
    assert.equal(host.logs.length, 1, host.logs.join("\n"));
    assert.match(host.logs[0]!, /^plugin failed: Index out of range \(~lib\/array\.ts:\d+:\d+\)$/);
  });

  it("holds no path of the machine that compiled it", () => {
    const module = readFileSync(file);
    for (const encoding of ["utf8", "utf16le"] as const)
      assert.ok(!module.includes(Buffer.from(root, encoding)));
  });

  it("refuses a configuration that is not JSON", () => {
    const host = new Host(fixture);
    assert.equal(host.startText("{]"), false);
    assert.match(host.logs.join(), /^configuration is not JSON: 1:2: expected a member's name/);
  });
});
