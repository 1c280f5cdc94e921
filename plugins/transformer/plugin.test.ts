import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type HeaderLine, Host } from "../../sdk/test/host.ts";
import { buildPlugin, startHost } from "../../sdk/test/modules.ts";

const start: HeaderLine[] = [
  [":path", "/"],
  ["x-b", "2"],
  ["x-a", "1"],
  ["x-b", "3"],
];

describe("transformer", () => {
  let module = "";
  before(async () => {
    module = await buildPlugin("transformer");
  });

  /** Request headers after the rules. */
  function transform(...reqRules: unknown[]): string {
    const host = startHost(module, { reqRules });
    const { id } = host.request(structuredClone(start));
    host.end(id);
    return host.stream.maps[0]!.map((line) => line.join("=")).join(" ");
  }

  const one = (operate: string, parameters: unknown) => transform({ operate, headers: [parameters] });

  it("carries out each operation, and leaves other headers where they are", () => {
    assert.equal(one("remove", { key: "X-B" }), ":path=/ x-a=1");
    assert.equal(one("RENAME", { oldKey: "x-a", newKey: "X-B" }), ":path=/ x-b=2 x-b=3 x-b=1");
    assert.equal(one("rename", { oldKey: "none", newKey: "x" }), ":path=/ x-b=2 x-a=1 x-b=3");
    assert.equal(one("replace", { key: "x-b", newValue: "z" }), ":path=/ x-b=z x-a=1");
    assert.equal(one("add", { key: "x-a", value: "z" }), ":path=/ x-b=2 x-a=1 x-b=3");
    assert.equal(one("add", { key: "x-c", value: "z" }), ":path=/ x-b=2 x-a=1 x-b=3 x-c=z");
    assert.equal(one("append", { key: "x-a", appendValue: "z" }), ":path=/ x-b=2 x-a=1 x-b=3 x-a=z");
    assert.equal(one("map", { fromKey: "x-b", toKey: "x-a" }), ":path=/ x-b=2 x-a=2 x-b=3 x-a=3");
    assert.equal(one("dedupe", { key: "x-b", strategy: "RETAIN_LAST" }), ":path=/ x-b=3 x-a=1");
  });

  it("carries out rules in the order in which they are written", () => {
    const rules = [
      { operate: "add", headers: [{ key: "x-c", value: "1" }] },
      { operate: "rename", headers: [{ oldKey: "x-c", newKey: "x-d" }] },
      { operate: "map", headers: [{ fromKey: "x-d", toKey: "x-a" }] },
    ];
    assert.equal(transform(...rules), ":path=/ x-b=2 x-a=1 x-b=3 x-d=1");
  });

  it("transforms the response by respRules and leaves the rest alone", () => {
    const host = startHost(module, { respRules: [{ operate: "remove", headers: [{ key: "server" }] }] });
    const { id } = host.request(structuredClone(start));
    host.response(id, [
      [":status", "200"],
      ["server", "x"],
    ]);
    host.end(id);
    assert.deepEqual(host.stream.maps[0], start);
    assert.deepEqual(host.stream.maps[2], [[":status", "200"]]);
  });

  it("refuses what it cannot carry out", () => {
    const refused = [
      [{}, "reqRules or respRules is expected"],
      [{ reqRules: [{ operate: "drop" }] }, 'reqRules[0]: operate is "drop": expected remove'],
      [{ reqRules: [{ operate: "remove", querys: [{ key: "a" }] }] }, "reqRules[0]: querys is not supported"],
      [{ respRules: [{ operate: "remove", body: [{ key: "a" }] }] }, "respRules[0]: body is not supported"],
      [{ reqRules: [{ operate: "map", mapSource: "body" }] }, "mapSource body is not supported"],
      [
        { reqRules: [{ operate: "add", headers: [{ key: "a", host_pattern: "b" }] }] },
        "host_pattern is not supported",
      ],
    ] as const;
    for (const [config, text] of refused) {
      const host = new Host(module);
      assert.equal(host.start(config), false, text);
      assert.ok(host.logs.join("\n").includes(text), host.logs.join("\n"));
    }
  });
});
