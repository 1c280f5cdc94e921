import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Host } from "./host.ts";
import { buildFixture } from "./modules.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

describe("plugin", () => {
  let fixture = "";
  before(async () => {
    fixture = await buildFixture();
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
