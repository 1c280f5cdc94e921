import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type HeaderLine, Host } from "./host.ts";
import { buildPlugin, startHost } from "./modules.ts";

const CYCLES = 1_000_000;
const WARM_UP = 50_000;

describe("custom-response", () => {
  let module = "";
  before(async () => {
    module = await buildPlugin("custom-response");
  });

  it("names every error of a configuration", () => {
    const host = new Host(module);
    assert.equal(
      host.start({ headers: ["a"], status_code: 12.5, enable_on_status: ["12a", 200, 200] }),
      false,
    );
    for (const text of [
      'invalid header pair format: headers[0] is "a":',
      "status code value: status_code is 12.5:",
      'value: enable_on_status[0] is "12a":',
      "enable_on_status[2] is 200, which is there before",
    ]) {
      assert.ok(host.logs.join("\n").includes(text), text);
    }
  });

  it("needs no hostcall that a proxy might lack", () => {
    const { imports, exports } = new Host(module);
    for (const { module: from, name } of imports) assert.match(`${from}.${name}`, /^env\.proxy_[a-z_]+$/);
    assert.ok(
      exports.includes("proxy_abi_version_0_2_1") && exports.includes("malloc") && exports.includes("memory"),
    );
  });

  it(`keeps its memory over ${CYCLES} requests`, () => {
    const rule = { _match_route_: ["r"], body: "route", headers: ["a=b"] };
    const host = startHost(module, {
      body: "x",
      _rules_: [{ _match_domain_: ["*.foo.com"], body: "d" }, rule],
    });
    const headers: HeaderLine[] = [[":authority", "bar.com"]];
    const properties = { "xds.route_name": "r" };
    let warm = 0;
    for (let i = 0; i < CYCLES; i++) {
      const { id } = host.request(headers, properties);
      host.end(id);
      host.asked.length = 0;
      if (i === WARM_UP) warm = host.memorySize;
    }
    assert.equal(host.stream.reply?.body, "route");
    assert.equal(host.memorySize, warm);
    assert.deepEqual(host.logs, []);
  });
});
