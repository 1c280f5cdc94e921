import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Host } from "../../sdk/test/host.ts";
import { buildPlugin, startHost } from "../../sdk/test/modules.ts";

describe("easy-logger", () => {
  let module = "";
  before(async () => {
    module = await buildPlugin("easy-logger");
  });

  function run(host: Host): void {
    const { id } = host.request([
      [":method", "GET"],
      [":path", '/a"b'],
      [":authority", "foo.com"],
      ["x-a", "1"],
    ]);
    host.response(id, [[":status", "404"]]);
    host.end(id);
  }

  it("writes one JSON line for a request, with the chosen fields in their order", () => {
    const standard = startHost(module, undefined);
    run(standard);
    assert.deepEqual(standard.logs, [
      '{"method":"GET","path":"/a\\"b","host":"foo.com","status":404,"duration":null}',
    ]);
    const chosen = startHost(module, { fields: ["status", "request_header.x-a", "route"] });
    run(chosen);
    assert.deepEqual(chosen.logs, ['{"status":404,"request_header.x-a":"1","route":null}']);
  });

  it("spreads samples evenly", () => {
    const host = startHost(module, { sampling: 0.25 });
    for (let i = 0; i < 100; i++) run(host);
    assert.equal(host.logs.length, 25);
  });

  it("does nothing while the level is off", () => {
    const host = startHost(module, {});
    host.logLevel = 3;
    run(host);
    assert.deepEqual(host.logs, []);
    assert.deepEqual(host.asked, []);
  });

  it("follows rules", () => {
    const host = startHost(module, { _rules_: [{ _match_domain_: ["bar.com"] }] });
    run(host);
    assert.deepEqual(host.logs, []);
  });

  it("names every error", () => {
    const host = new Host(module);
    assert.equal(host.start({ fields: ["metod", "request_header."], sampling: 2 }), false);
    const log = host.logs.join("\n");
    for (const text of ['fields[0] is "metod"', 'fields[1] is "request_header."', "sampling is 2"])
      assert.ok(log.includes(text));
  });
});
