import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { type HeaderLine, Host } from "../../sdk/test/host.ts";
import { loadPlugin, startHost } from "../../sdk/test/modules.ts";
import { type CasePlugin, runCase } from "../../src/plugin/run-case.ts";
import { testCase } from "../../src/plugin/test-case.ts";
import { type PluginTestCase, parseTestFile } from "../../src/plugin/test-file.ts";
import type { PluginModule } from "../../src/proxy-wasm/index.ts";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";

const start: HeaderLine[] = [
  [":method", "GET"],
  [":path", "/"],
  ["x-b", "2"],
  ["x-a", "1"],
  ["x-b", "3"],
  [":authority", "a.com"],
];

describe("transformer", () => {
  let module: PluginModule;
  let plugin: CasePlugin;
  before(async () => {
    module = await loadPlugin("transformer");
    plugin = { module, vmConfig: "", env: {} };
  });

  /** Request headers after the rules, without the pseudo headers. */
  function transform(...reqRules: unknown[]): string {
    const host = startHost(module, { reqRules });
    const stream = host.request(start);
    stream.end();
    return stream
      .headers("request")!
      .slice(3)
      .map((line) => line.join("="))
      .join(" ");
  }

  async function readCases(file: string): Promise<readonly PluginTestCase[]> {
    const text = await readFile(new URL(`test/${file}`, import.meta.url), "utf8");
    const { tests, diagnostics } = parseTestFile(text, file);
    assert.deepEqual(diagnostics, []);
    return tests!.cases;
  }

  const failuresOf = (cases: readonly PluginTestCase[]) =>
    cases.flatMap((each) =>
      testCase(each, plugin).failures.map((failure) => ({ name: each.name, ...failure })),
    );

  it("does what its cases say", async () => {
    assert.deepEqual(failuresOf(await readCases("cases.yaml")), []);
  });

  it("with strict does what Higress' plugin does, to the order of the headers", async () => {
    const strict = (await readCases("vectors.yaml")).map((each) => {
      const config = JSON.parse(each.config) as Record<string, unknown>;
      return Object.keys(config).length === 0
        ? each
        : { ...each, config: JSON.stringify({ ...config, strict: true }) };
    });
    assert.deepEqual(failuresOf(strict), []);
  });

  const one = (operate: string, parameters: unknown) => transform({ operate, headers: [parameters] });

  it("carries out each operation, and writes headers in the order of their names", () => {
    assert.equal(one("remove", { key: "X-B" }), "x-a=1");
    assert.equal(one("RENAME", { oldKey: "x-a", newKey: "X-B" }), "x-b=2 x-b=3 x-b=1");
    assert.equal(one("rename", { oldKey: "none", newKey: "x" }), "x-a=1 x-b=2 x-b=3");
    assert.equal(one("replace", { key: "x-b", newValue: "z" }), "x-a=1 x-b=z");
    assert.equal(one("add", { key: "x-a", value: "z" }), "x-a=1 x-b=2 x-b=3");
    assert.equal(one("add", { key: "x-aa", value: "z" }), "x-a=1 x-aa=z x-b=2 x-b=3");
    assert.equal(one("append", { key: "x-a", appendValue: "z" }), "x-a=1 x-a=z x-b=2 x-b=3");
    assert.equal(one("map", { fromKey: "x-b", toKey: "x-a" }), "x-a=2 x-a=3 x-b=2 x-b=3");
    assert.equal(one("dedupe", { key: "x-b", strategy: "RETAIN_LAST" }), "x-a=1 x-b=3");
  });

  it("leaves requests alone when there are rules for responses only, and the other way round", () => {
    const host = startHost(module, { respRules: [{ operate: "remove", headers: [{ key: "server" }] }] });
    const stream = host.request(start);
    stream.response([
      [":status", "200"],
      ["server", "x"],
    ]);
    stream.end();
    assert.deepEqual(stream.headers("request"), start);
    assert.deepEqual(stream.headers("response"), [[":status", "200"]]);
  });

  it("says what is wrong with a configuration, and where", () => {
    const refused = [
      [{}, "reqRules or respRules is expected"],
      [
        { reqRules: [{ operate: "remove" }, { operate: "drop" }, {}] },
        'reqRules[1]: operate is "drop": expected one of remove, rename, replace, add, append, map, dedupe',
      ],
      [{ reqRules: [{}] }, "reqRules[0]: operate is missing"],
      [
        { respRules: [{ operate: "map", mapSource: "cookie" }] },
        'respRules[0]: mapSource is "cookie": expected one of headers, querys, body',
      ],
      [
        { respRules: [{ operate: "add", body: [{ key: "a", value_type: "int" }] }] },
        'respRules[0]: body[0]: value_type is "int": expected one of string, object, boolean, number',
      ],
      [
        { reqRules: [{ operate: "rename", querys: [{ oldKey: "a" }] }] },
        "reqRules[0]: querys[0]: newKey is missing or empty",
      ],
      [
        { reqRules: [{ operate: "add", headers: [{ key: "a", host_pattern: "a(b" }] }], respRules: [] },
        'reqRules[0]: headers[0]: host_pattern "a(b" is no regular expression of RE2: character 2: ',
      ],
    ] as const;
    for (const [config, text] of refused) {
      const host = new Host(module);
      assert.equal(host.start(config), false, text);
      assert.ok(host.logs.join("\n").includes(text), host.logs.join("\n"));
    }
  });

  const word = fc.constantFrom("a", "b.0", "0", "-1", ":1", "a\\.b", "é", "x-a", ":path", "*");
  const parameters = fc.record(
    {
      ...{ key: word, oldKey: word, newKey: word, fromKey: word, toKey: word },
      ...{
        newValue: fc.string(),
        value: fc.string(),
        appendValue: fc.constantFrom("1", "{}", "[", "tru", "$1"),
      },
      value_type: fc.constantFrom("", "object", "number", "boolean"),
      strategy: fc.constantFrom("RETAIN_UNIQUE", "RETAIN_LAST", "SPLIT_AND_RETAIN_LAST"),
      host_pattern: fc.constantFrom("", ".*", "(a)?", "[", "(?i)x{2}"),
    },
    { requiredKeys: ["key", "oldKey", "newKey", "fromKey", "toKey"] },
  );
  const rule = fc.record(
    {
      operate: fc.constantFrom("remove", "rename", "replace", "add", "append", "map", "dedupe", "none"),
      mapSource: fc.constantFrom("headers", "querys", "body", "none"),
      ...{ headers: fc.array(parameters), querys: fc.array(parameters), body: fc.array(parameters) },
    },
    { requiredKeys: ["operate"] },
  );
  const types = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    'a;;b="',
  ];
  const body = fc.oneof(
    fc.json().map((text) => Buffer.from(text)),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.string({ unit: fc.constantFrom(...'a=&%;+{}[],:"1') }).map((text) => Buffer.from(text)),
    fc
      .constantFrom(
        "[".repeat(5000),
        `${"[".repeat(900)}${"]".repeat(900)}`,
        "--b\r\n\r\n--b--",
        "--b\r\n--b",
      )
      .map((text) => Buffer.from(text)),
  );

  it("never traps, whatever the rules and the messages are", () => {
    const message = fc.record({
      path: fc.webPath({ size: "small" }),
      query: fc.string(),
      type: fc.constantFrom(...types),
      body,
    });
    let started = 0;
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 4 }),
        fc.boolean(),
        message,
        (rules, strict, { path, query, type, body }) => {
          const { failure, start } = runCase(
            {
              ...{ name: "any", line: 1, column: 1, properties: {}, calls: [], expect: {} },
              config: JSON.stringify({ strict, reqRules: rules, respRules: rules }),
              request: {
                headers: [
                  [":authority", "a"],
                  [":path", `${path}?${query}`],
                  [":method", "POST"],
                  ["content-type", type],
                ],
                body: [body],
              },
              response: {
                headers: [
                  [":status", "200"],
                  ["content-type", type],
                ],
                body: [body],
              },
            },
            plugin,
          );
          // A trap would be told in other words.
          assert.match(
            failure ?? "",
            start === "ok" ? /^$/ : /refused its configuration \(proxy_on_configure\)$/,
          );
          started += start === "ok" ? 1 : 0;
        },
      ),
      { numRuns: fuzzRuns(300) },
    );
    assert.ok(started > 100, `${started} of 300 started`);
  });

  it("keeps memory at its size over many streams", () => {
    const rules = [
      { operate: "add", headers: [{ key: "x-c", value: "$1", host_pattern: "^(.*)\\.com$" }] },
      {
        operate: "map",
        mapSource: "querys",
        headers: [{ fromKey: "q", toKey: "x-q" }],
        querys: [{ fromKey: "q", toKey: "r" }],
      },
    ];
    const host = startHost(module, { reqRules: rules, respRules: rules });
    const run = (count: number) => {
      for (let i = 0; i < count; i++) {
        const stream = host.request([
          [":method", "GET"],
          [":path", `/?q=${i}`],
          [":authority", "a.com"],
        ]);
        stream.response([[":status", "200"]]);
        stream.end();
      }
    };
    run(5000);
    const size = host.memoryBytes;
    run(20_000);
    assert.equal(host.memoryBytes, size);
  });
});
