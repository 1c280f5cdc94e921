import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { ResourceSchema } from "../gen/istio/mcp/v1alpha1/resource_pb.ts";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { emptyIstioConfigSet, type IstioConfig, type IstioConfigSet } from "../istio/config.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { mcpSnapshot } from "./mcp-snapshot.ts";

const wasmPlugins = "extensions.istio.io/v1alpha1/WasmPlugin";
const trafficExtensions = "extensions.istio.io/v1alpha1/TrafficExtension";

function makePlugin(name: string, url = "oci://a/b:1"): IstioConfig<"WasmPlugin"> {
  const spec = create(WasmPluginSchema, { url });
  return { kind: "WasmPlugin", namespace: "higress-system", name, spec };
}

function makeSet(parts: Partial<IstioConfigSet>): IstioConfigSet {
  return { ...emptyIstioConfigSet, ...parts };
}

function namesOf(snapshot: Snapshot, typeUrl: string): string[] {
  return [...snapshot.get(typeUrl)!.resources.keys()];
}

test("every type that an istiod may ask for is there, empty ones too", () => {
  const networking = ["Gateway", "ServiceEntry", "VirtualService"].flatMap((kind) =>
    ["v1alpha3", "v1beta1", "v1"].map((version) => `networking.istio.io/${version}/${kind}`),
  );
  const snapshot = mcpSnapshot(emptyIstioConfigSet);
  assert.deepEqual(
    [...snapshot.keys()].sort(),
    ["core/v1/Secret", trafficExtensions, wasmPlugins, ...networking].sort(),
  );
  for (const { resources, version } of snapshot.values()) {
    assert.equal(resources.size, 0);
    assert.notEqual(version, "");
  }
});

test("old and new API versions of a kind carry the same resources", () => {
  const gateway: IstioConfig<"Gateway"> = {
    kind: "Gateway",
    namespace: "ns",
    name: "g",
    spec: create(GatewaySchema, { selector: { a: "b" } }),
  };
  const snapshot = mcpSnapshot(makeSet({ Gateway: [gateway] }));
  const resources = ["v1alpha3", "v1beta1", "v1"].map((version) =>
    snapshot.get(`networking.istio.io/${version}/Gateway`)!.resources.get("ns/g"),
  );
  assert.ok(resources[0]);
  assert.ok(resources.every((resource) => resource === resources[0]));
});

test("WasmPlugins are there as TrafficExtensions, too, each under its own type", () => {
  const snapshot = mcpSnapshot(makeSet({ WasmPlugin: [makePlugin("a"), makePlugin("b")] }));
  for (const [typeUrl, body] of [
    [wasmPlugins, "istio.extensions.v1alpha1.WasmPlugin"],
    [trafficExtensions, "istio.extensions.v1alpha1.TrafficExtension"],
  ] as const) {
    assert.deepEqual(namesOf(snapshot, typeUrl), ["higress-system/a", "higress-system/b"]);
    for (const { value } of snapshot.get(typeUrl)!.resources.values())
      assert.equal(fromBinary(ResourceSchema, value).body?.typeUrl, `type.googleapis.com/${body}`);
  }
});

test("a change of one resource encodes that one, and versions of all others stay", () => {
  const plugins = Array.from({ length: 20 }, (_, index) => makePlugin(`p${index}`));
  const before = mcpSnapshot(makeSet({ WasmPlugin: plugins }));
  const after = mcpSnapshot(makeSet({ WasmPlugin: plugins.with(7, makePlugin("p7", "oci://a/b:2")) }));
  const [old, now] = [before, after].map((snapshot) => snapshot.get(wasmPlugins)!);
  assert.notEqual(old!.version, now!.version);
  const fresh = [...now!.resources.values()].filter(
    (resource) => old!.resources.get(resource.name) !== resource,
  );
  assert.deepEqual(
    fresh.map(({ name }) => name),
    ["higress-system/p7"],
  );
  assert.notEqual(fresh[0]!.version, old!.resources.get("higress-system/p7")!.version);
});

test("a list that did not change gives the same types", () => {
  const set = makeSet({ WasmPlugin: [makePlugin("a")] });
  const [before, after] = [mcpSnapshot(set), mcpSnapshot({ ...set, Gateway: [] })];
  assert.equal(after.get(wasmPlugins), before.get(wasmPlugins));
  assert.equal(after.get(trafficExtensions), before.get(trafficExtensions));
});

test("the same content has the same version in another run's objects", () => {
  const versions = [0, 1].map(
    () => mcpSnapshot(makeSet({ WasmPlugin: [makePlugin("a")] })).get(wasmPlugins)!.version,
  );
  assert.equal(versions[0], versions[1]);
});
