import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, beforeEach, describe, it } from "node:test";
import {
  createLocalOutside,
  createPluginHost,
  createStores,
  MemoryStream,
  type Plugin,
  type PluginHost,
  type PluginModule,
} from "../../src/proxy-wasm/index.ts";
import { compileModule } from "./modules.ts";

describe("a rule that cannot be read", () => {
  const logs: string[] = [];
  let host: PluginHost;
  let module: PluginModule;
  before(async () => {
    const file = await compileModule("sdk/fixture/isolation.ts", "build/test/isolation.wasm");
    host = createPluginHost(createLocalOutside());
    module = await host.compile(await readFile(file));
  });
  beforeEach(() => {
    logs.length = 0;
    host = createPluginHost(
      createLocalOutside({ stores: createStores(), log: (line) => logs.push(line.message) }),
    );
  });

  function start(configuration: object, on: PluginHost = host): Plugin {
    return on.start({ name: "ns.plugin", module, configuration: JSON.stringify(configuration) });
  }

  /** What a request to this host meets. */
  function meet(plugin: Plugin, authority: string): string {
    const stream = new MemoryStream([plugin]);
    const pseudo = [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
    ] as const;
    stream.sendRequest({ headers: [[":authority", authority], ...pseudo] });
    stream.end();
    const reply = stream.response?.headers.find(([name]) => name === ":status")?.[1];
    return reply ?? stream.request?.headers.find(([name]) => name === "x-config")?.[1] ?? "none";
  }

  const rule = (host: string, more: object) => ({ _match_domain_: [host], ...more });
  const good = { value: "g1", _rules_: [rule("a", { value: "a1" }), rule("b", { value: "b1" })] };
  const broken = {
    value: "g2",
    _rules_: [rule("b", { value: "b2" }), rule("a", { value: "a2", bad: true })],
  };

  it("keeps its last good version, read anew below the global configuration of now, and others are in effect", () => {
    const old = start(good);
    const plugin = start(broken);
    old.close();
    assert.deepEqual([meet(plugin, "a"), meet(plugin, "b"), meet(plugin, "c")], ["/g2/a1", "/g2/b2", "/g2/"]);
    const line =
      "configuration: _rules_[1]: bad is true: expected false; the last good version of this rule stays in effect";
    assert.ok(logs.includes(line), logs.join("\n"));
    const again = start({ ...broken, value: "g3" });
    plugin.close();
    assert.equal(meet(again, "a"), "/g3/a1");
    const mended = start({ ...good, _rules_: [rule("a", { value: "a3" })] });
    assert.deepEqual([meet(mended, "a"), meet(mended, "b")], ["/g1/a3", "/g1/"]);
  });

  it("refuses the configuration when no version was ever read, and with strict: true", () => {
    assert.throws(() => start(broken), /refused its configuration/);
    assert.deepEqual(logs, ["configuration: _rules_[1]: bad is true: expected false"]);
    const old = start(good);
    assert.throws(() => start({ ...broken, strict: true }), /refused its configuration/);
    assert.throws(
      () => start({ ...good, _rules_: [rule("new", { bad: true })] }),
      /refused its configuration/,
    );
    assert.equal(meet(old, "a"), "/g1/a1");
  });

  it("answers 503 where the Vm that had read it is gone, so that nothing gets past it", () => {
    const shared = createStores();
    const hosts = [1, 2].map(() => createPluginHost(createLocalOutside({ stores: shared })));
    start(good, hosts[0]!);
    const plugin = start(broken, hosts[1]!);
    assert.deepEqual([meet(plugin, "a"), meet(plugin, "b"), meet(plugin, "c")], ["503", "/g2/b2", "/g2/"]);
  });

  it("is another plugin's affair: _plugin_id_ names it, and its texts are in no shared data", () => {
    const shared = createStores();
    const one = createPluginHost(createLocalOutside({ stores: shared }));
    const first = start({ ...good, _plugin_id_: "one" }, one);
    assert.equal(meet(first, "a"), "one/g1/a1");
    assert.throws(() => start({ ...broken, _plugin_id_: "two" }, one), /refused its configuration/);
    assert.equal(shared.sharedData("").get("wasmline.rules:one")?.value.length, 16);
  });

  it("leaves the notes of a plugin that ends, and nothing after it", () => {
    const old = start(good);
    const again = start(good);
    old.close();
    assert.equal(meet(start(broken), "a"), "/g2/a1");
    again.close();
  });
});
