// What the library does with rules beside the reference's reading, in a real Envoy: a broken rule keeps its last good version, no
// spelling of a host gets past a rule, what is wrong is told. `strict: true` is the reference.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { buildFixture, buildPlugin, compileModule } from "../../sdk/test/modules.ts";
import { type PluginEnvoy, startPluginEnvoy } from "./plugin-envoy.ts";
import type { PluginListener } from "./plugin-listener.ts";

interface Rules {
  readonly strict?: true;
  readonly [key: string]: unknown;
}

const rule = (host: string, more: object) => ({ _match_domain_: [host], ...more });
const good = { value: "g1", _rules_: [rule("a", { value: "a1" }), rule("b", { value: "b1" })] };
const broken = {
  value: "g2",
  _rules_: [rule("b", { value: "b2" }), rule("a", { value: "a2", bad: true })],
};
const keyAuth = {
  ...{ keys: ["x-api-key"], in_header: true, consumers: [{ name: "ann", credential: "key-of-ann" }] },
  _rules_: [{ _match_domain_: ["a.test.com", "*.wild.com"], allow: ["ann"] }],
};
const failingGlobal = { bad: 1, _rules_: [rule("a.com", {})] };
const wildcardService = { _rules_: [{ _match_service_: ["*.svc"] }] };
const cluster = "outbound|80||shop.svc";

suite("rules in a real Envoy", () => {
  let envoy: PluginEnvoy;
  before(async () => {
    const isolation = await compileModule("sdk/fixture/isolation.ts", "build/test/isolation.wasm");
    const matching = await buildFixture();
    const auth = await buildPlugin("key-auth");
    envoy = await startPluginEnvoy([
      listenerOf("kept", isolation, { ...good, _plugin_id_: "kept" }),
      listenerOf("new", isolation, { ...broken, _plugin_id_: "new" }),
      listenerOf("spelled", auth, keyAuth),
      listenerOf("spelled-strict", auth, { ...keyAuth, strict: true }),
      listenerOf("failing", matching, failingGlobal),
      listenerOf("failing-strict", matching, { ...failingGlobal, strict: true }),
      listenerOf("service", matching, wildcardService),
      listenerOf("service-strict", matching, { ...wildcardService, strict: true }),
    ]);
  });
  after(() => envoy.close());

  function exchange(id: string, host: string) {
    const headers = [
      [":method", "GET"],
      [":scheme", "http"],
      [":authority", host],
      [":path", "/"],
    ] as const;
    return envoy.exchange({ id, port: envoy.ports.get(id)!, route: 0 }, { headers });
  }

  /** The configuration that a request to this host meets, as sdk/fixture/isolation.ts writes it down. */
  async function meet(host: string): Promise<string | undefined> {
    const { request } = await exchange("kept", host);
    return request?.headers.find(([name]) => name === "x-config")?.[1];
  }

  /** Status, and what else there is to say of an answer. */
  async function answer(id: string, host: string, header: string): Promise<string> {
    const lines = new Map((await exchange(id, host)).response?.headers);
    return [lines.get(":status"), lines.get(header) ?? "none"].join(" ");
  }

  test("a broken rule keeps its last good version, and the others are in effect", async () => {
    assert.deepEqual(
      [await meet("a"), await meet("b"), await meet("c")],
      ["kept/g1/a1", "kept/g1/b1", "kept/g1/"],
    );
    assert.equal(
      await envoy.reconfigure("kept", JSON.stringify({ ...broken, _plugin_id_: "kept" })),
      undefined,
    );
    const line =
      "_rules_[1]: bad is true: expected false; the last good version of this rule stays in effect";
    assert.ok(envoy.wasmLog().some((text) => text.includes(line)));
    assert.deepEqual(
      [await meet("a"), await meet("b"), await meet("c")],
      ["kept/g2/a1", "kept/g2/b2", "kept/g2/"],
    );
  });

  test("with strict: true it refuses the configuration, as one that was never right, and says why", async () => {
    const before = await meet("a");
    const strict = { ...broken, value: "g3", _plugin_id_: "kept", strict: true };
    const refused = await envoy.reconfigure("kept", JSON.stringify(strict));
    assert.match(refused ?? "", /Unable to create Wasm (?:HTTP filter|plugin)/);
    assert.ok(envoy.wasmLog().some((text) => text.includes("_rules_[1]: bad is true: expected false")));
    assert.equal(await meet("a"), before);
    assert.equal(envoy.ports.has("new"), false);
  });

  test("no spelling of a host gets past its rule; strict is the reference, which compares letters", async () => {
    const spellings = [
      "a.test.com",
      "A.Test.com",
      "a.test.com:8080",
      "A.TEST.COM:1",
      "a.test.com.",
      "X.Wild.COM:80",
    ];
    const detailsOf = async (id: string) => {
      const details: string[] = [];
      for (const host of spellings) details.push((await exchange(id, host)).details);
      return details;
    };
    assert.deepEqual(await detailsOf("spelled"), Array(6).fill("key-auth.no_key"));
    assert.deepEqual(await detailsOf("spelled-strict"), [
      ...["key-auth.no_key", "via_upstream", "key-auth.no_key"],
      ...["via_upstream", "via_upstream", "via_upstream"],
    ]);
  });

  test("a global configuration that cannot be read refuses the start; with strict it is left out, which is told", async () => {
    assert.equal(envoy.ports.has("failing"), false);
    assert.equal(await answer("failing-strict", "a.com", "x-match"), "200 rule:00");
    assert.equal(await answer("failing-strict", "b.com", "x-match"), "200 none");
    const again = { ...failingGlobal, _plugin_id_: "again" };
    assert.ok(await envoy.reconfigure("failing-strict", JSON.stringify(again)));
    assert.ok(envoy.wasmLog().some((text) => text.includes("configuration: bad config")));
    assert.equal(
      await envoy.reconfigure("failing-strict", JSON.stringify({ ...again, strict: true })),
      undefined,
    );
    const told = "global configuration is not used: bad config";
    assert.ok(envoy.wasmLog().some((text) => text.includes(told)));
  });

  test("a wildcard in a service is one, as the documentation says; with strict it is a name", async () => {
    assert.equal(await answer("service", "a.com", "x-match"), "200 rule:00");
    assert.equal(await answer("service-strict", "a.com", "x-match"), "200 none");
  });
});

function listenerOf(id: string, module: string, config: Rules): PluginListener {
  return { id, module, configuration: JSON.stringify(config), routes: [{ route: "r", cluster }] };
}
