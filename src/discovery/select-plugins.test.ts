import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { fc } from "../../test/peers/properties.ts";
import { PluginPhase, PluginType, WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { WorkloadMode } from "../gen/istio/type/v1beta1/selector_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { ProxyNode } from "./proxy.ts";
import { runsAtPort, selectPlugins } from "./select-plugins.ts";

const root = "higress-system";
const proxy: ProxyNode = {
  namespace: root,
  labels: { higress: "gateway", zone: "a" },
  secrets: "none",
  chain: "listener",
};

function makePlugin(
  id: string,
  spec: MessageInitShape<typeof WasmPluginSchema> = {},
): IstioConfig<"WasmPlugin"> {
  const [name = "", namespace = root] = id.split(".");
  return { kind: "WasmPlugin", namespace, name, spec: create(WasmPluginSchema, spec) };
}

/** The plugins of one phase, in order, as `name.namespace` with the root namespace left out. */
function order(
  plugins: readonly IstioConfig<"WasmPlugin">[],
  node = proxy,
  phase = PluginPhase.UNSPECIFIED_PHASE,
) {
  return selectPlugins(plugins, node, root)[phase].map(({ name, namespace }) =>
    namespace === root ? name : `${name}.${namespace}`,
  );
}

suite("the order within a phase", () => {
  test("is by priority, highest first; an explicit 0 and negative ones come before none at all", () => {
    const plugins = [
      makePlugin("none"),
      makePlugin("low", { priority: -(2 ** 31) + 1 }),
      makePlugin("negative", { priority: -5 }),
      makePlugin("zero", { priority: 0 }),
      makePlugin("one", { priority: 1 }),
      makePlugin("high", { priority: 2 ** 31 - 1 }),
    ];
    assert.deepEqual(order(plugins), ["high", "one", "zero", "negative", "low", "none"]);
  });

  test("of the same priority is that of the names", () => {
    const ids = ["b", "a-b", "a", "c"];
    assert.deepEqual(order(ids.map((id) => makePlugin(id, { priority: 7 }))), ["a-b", "a", "b", "c"]);
    assert.deepEqual(order(ids.map((id) => makePlugin(id))), ["a-b", "a", "b", "c"]);
  });

  test("of the same priority has the root namespace first", () => {
    const plugins = [
      makePlugin("a.own"),
      makePlugin("b"),
      makePlugin("c.own", { priority: 1 }),
      makePlugin("z"),
    ];
    assert.deepEqual(order(plugins, { ...proxy, namespace: "own" }), ["c.own", "b", "z", "a.own"]);
  });

  test("does not depend on the order of arrival", () => {
    const plugins = ["a", "b.own", "c", "d.own", "e", "f"].flatMap((id) =>
      [undefined, 0, 3].map((priority, index) =>
        makePlugin(`${id.replace(/^./, `$&${index}`)}`, { priority }),
      ),
    );
    const node = { ...proxy, namespace: "own" };
    const expected = order(plugins, node);
    fc.assert(
      fc.property(fc.shuffledSubarray(plugins, { minLength: plugins.length }), (shuffled) =>
        assert.deepEqual(order(shuffled, node), expected),
      ),
    );
  });
});

test("each plugin is in its phase, and one in a phase that nobody knows in none", () => {
  const phases = [PluginPhase.UNSPECIFIED_PHASE, PluginPhase.AUTHN, PluginPhase.AUTHZ, PluginPhase.STATS];
  const plugins = [...phases, 9 as PluginPhase].map((phase) => makePlugin(`p${phase}`, { phase }));
  for (const phase of phases) assert.deepEqual(order(plugins, proxy, phase), [`p${phase}`]);
});

test("a plugin applies to gateways of its namespace, one of the root namespace to all", () => {
  const plugins = [makePlugin("a"), makePlugin("b.own"), makePlugin("c.other")];
  assert.deepEqual(order(plugins, { ...proxy, namespace: "own" }), ["a", "b.own"]);
  assert.deepEqual(order(plugins), ["a"]);
});

test("every label of a selector must be the gateway's; no labels select all", () => {
  const select = (matchLabels: Record<string, string>) => ({ selector: { matchLabels } });
  const plugins = [
    makePlugin("all", select({})),
    makePlugin("one", select({ higress: "gateway" })),
    makePlugin("both", select({ higress: "gateway", zone: "a" })),
    makePlugin("otherValue", select({ higress: "gateway", zone: "b" })),
    makePlugin("otherKey", select({ app: "gateway" })),
    makePlugin("inherited", select({ constructor: "gateway" })),
  ];
  assert.deepEqual(order(plugins), ["all", "both", "one"]);
});

test("a plugin for network filters is none of a chain of HTTP", () => {
  const types = [PluginType.UNSPECIFIED_PLUGIN_TYPE, PluginType.HTTP, PluginType.NETWORK];
  assert.deepEqual(order(types.map((type) => makePlugin(`p${type}`, { type }))), ["p0", "p1"]);
});

test("match says on which ports a plugin runs: any of a mode that is not the server's, and a port", () => {
  const at = (port: number, ...match: MessageInitShape<typeof WasmPluginSchema>["match"] & object) =>
    runsAtPort(makePlugin("a", { match }), port);
  assert.ok(at(80));
  assert.ok(at(80, {}));
  assert.ok(at(80, { ports: [{ number: 443 }, { number: 80 }] }));
  assert.ok(!at(80, { ports: [{ number: 443 }] }));
  assert.ok(at(80, { ports: [{ number: 443 }] }, { mode: WorkloadMode.CLIENT }));
  assert.ok(at(80, { mode: WorkloadMode.CLIENT_AND_SERVER }));
  assert.ok(!at(80, { mode: WorkloadMode.SERVER }));
});
