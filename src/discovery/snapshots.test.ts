import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { emptyIstioConfigSet, type IstioConfig, type IstioConfigSet } from "../istio/config.ts";
import { createWatchable } from "../watchable.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { defaultBuildOptions } from "./build-snapshot.ts";
import type { ProxyNode } from "./proxy.ts";
import { createSnapshots } from "./snapshots.ts";

const plugin = (
  name: string,
  matchLabels: Record<string, string>,
  priority = 1,
): IstioConfig<"WasmPlugin"> => ({
  kind: "WasmPlugin",
  namespace: defaultBuildOptions.rootNamespace,
  name,
  spec: create(WasmPluginSchema, { url: "oci://a/b:1", selector: { matchLabels }, priority }),
});
const set = (...WasmPlugin: IstioConfig<"WasmPlugin">[]): IstioConfigSet => ({
  ...emptyIstioConfigSet,
  WasmPlugin,
});
const proxy = (labels: Record<string, string>): ProxyNode => ({
  namespace: "ns",
  labels,
  secrets: "all",
  chain: "listener",
});
const pluginsIn = (snapshot: Snapshot | undefined) => [
  ...snapshot!.get(typeUrls.extensionConfig)!.resources.keys(),
];

test("gateways that no selector tells apart share a snapshot, until one does", (t) => {
  const config = createWatchable<IstioConfigSet>(set(plugin("web", { app: "web" })));
  const snapshots = createSnapshots(config, defaultBuildOptions, t.signal);
  const open = (labels: Record<string, string>) => snapshots(proxy(labels), t.signal);
  const [one, two, other] = [
    open({ app: "web", pod: "1" }),
    open({ app: "web", pod: "2" }),
    open({ app: "api", pod: "3" }),
  ];
  assert.equal(one.value, two.value);
  assert.deepEqual(pluginsIn(one.value), ["higress-system.web"]);
  assert.deepEqual(pluginsIn(other.value), []);
  config.set(set(plugin("web", { app: "web" }), plugin("first", { pod: "1" })));
  assert.deepEqual(pluginsIn(one.value), ["higress-system.first", "higress-system.web"]);
  assert.deepEqual(pluginsIn(two.value), ["higress-system.web"]);
});

test("what did not change stays the same object when selectors do", (t) => {
  const web = plugin("web", { app: "web" });
  const config = createWatchable<IstioConfigSet>(set(web));
  const snapshots = createSnapshots(config, defaultBuildOptions, t.signal);
  const gateway = snapshots(proxy({ app: "web" }), t.signal);
  const before = gateway.value!.get(typeUrls.extensionConfig);
  config.set(set(web, plugin("other", { app: "api" })));
  assert.equal(gateway.value!.get(typeUrls.extensionConfig), before);
});

test("a gateway that comes before the first configuration gets it", (t) => {
  const config = createWatchable<IstioConfigSet>();
  const gateway = createSnapshots(config, defaultBuildOptions, t.signal)(proxy({}), t.signal);
  assert.equal(gateway.value, undefined);
  config.set(set(plugin("all", {})));
  assert.deepEqual(pluginsIn(gateway.value), ["higress-system.all"]);
});

test("many kinds of gateways that come and go are not kept", (t) => {
  const config = createWatchable<IstioConfigSet>(set(plugin("all", {})));
  const snapshots = createSnapshots(config, defaultBuildOptions, t.signal);
  const open = (pod: string) => {
    const gone = new AbortController();
    return { gone, snapshot: snapshots(proxy({ pod }), gone.signal) };
  };
  const all = Array.from({ length: 200 }, (_, index) => open(String(index)));
  for (const { gone } of all) gone.abort();
  const kept = all.filter(({ snapshot }, index) => open(String(index)).snapshot === snapshot);
  assert.ok(kept.length > 0 && kept.length <= 64, `${kept.length} are kept`);
});
