import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { load } from "js-yaml";
import { httpFilters as chapterFilters } from "../../examples/01-seed/chapter.ts";
import { HttpFilterSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { FailStrategy, PluginPhase, WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { envoyJson } from "../xds/envoy-json.ts";
import { type EcdsDefault, filterKey, httpFilters } from "./http-filters.ts";
import { selectPlugins } from "./select-plugins.ts";

const root = "higress-system";

function makePlugin(
  name: string,
  spec: MessageInitShape<typeof WasmPluginSchema> = {},
): IstioConfig<"WasmPlugin"> {
  return { kind: "WasmPlugin", namespace: root, name, spec: create(WasmPluginSchema, spec) };
}

/** The filters of a gateway's port 80 as Envoy's dump shows them. */
function dumpFilters(plugins: readonly IstioConfig<"WasmPlugin">[], ecdsDefault: EcdsDefault = "fail-open") {
  const selected = selectPlugins(
    plugins,
    { namespace: root, labels: {}, secrets: "none", chain: "listener" },
    root,
  );
  return httpFilters(selected, 80, ecdsDefault).map(
    (filter) => envoyJson(HttpFilterSchema, filter, true) as { name: string; config_discovery?: object },
  );
}

function slotOf(plugin: IstioConfig<"WasmPlugin">, ecdsDefault: EcdsDefault) {
  const filter = dumpFilters([plugin], ecdsDefault).find(({ name }) => name === `${root}.${plugin.name}`);
  return filter?.config_discovery;
}

test("the chapter's chain, as Envoy's dump shows it", () => {
  const plugins = [
    makePlugin("easy-logger", { priority: 10, failStrategy: FailStrategy.FAIL_OPEN }),
    makePlugin("wasm-keyauth", { priority: 20 }),
    makePlugin("wasm-transformer", { phase: PluginPhase.AUTHN, priority: 100 }),
    makePlugin("custom-response", { phase: PluginPhase.AUTHN, priority: 200 }),
  ];
  assert.deepEqual(dumpFilters(plugins, "always"), load(chapterFilters));
});

test("phases stand around the built-in filters", () => {
  const plugins = [
    makePlugin("unspecified"),
    makePlugin("stats", { phase: PluginPhase.STATS }),
    makePlugin("authz", { phase: PluginPhase.AUTHZ }),
    makePlugin("authn", { phase: PluginPhase.AUTHN }),
  ];
  assert.deepEqual(
    dumpFilters(plugins).map(({ name }) => name.replace(/^.*\./, "")),
    ["cors", "authn", "authz", "rbac", "local_ratelimit", "stats", "unspecified", "fault", "router"],
  );
});

suite("a plugin's slot", () => {
  const shared = { config_source: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" } };
  const passThrough = { "@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite" };
  const wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
  const rbac = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
  const composite = passThrough["@type"];
  const closed = makePlugin("p");
  const open = makePlugin("p", { failStrategy: FailStrategy.FAIL_OPEN });

  test("waits for the plugin, and takes what stands in for it", () => {
    assert.deepEqual(slotOf(closed, "fail-open"), { ...shared, type_urls: [wasm, rbac] });
  });

  test("of one that fails open lets requests pass", () => {
    const expected = { ...shared, default_config: passThrough, type_urls: [wasm, rbac, composite] };
    assert.deepEqual(slotOf(open, "fail-open"), expected);
  });

  test("with --ecds-default=always lets requests pass at once, whatever the plugin says", () => {
    const always = { default_config: passThrough, apply_default_config_without_warming: true };
    const expected = { ...shared, ...always, type_urls: [wasm, composite] };
    assert.deepEqual(slotOf(closed, "always"), expected);
    assert.deepEqual(slotOf(open, "always"), expected);
  });
});

test("a plugin for another port has no slot", () => {
  const plugin = makePlugin("p", { match: [{ ports: [{ number: 443 }] }] });
  assert.equal(slotOf(plugin, "fail-open"), undefined);
});

test("the key says all that filters depend on, and nothing of configurations and images", () => {
  const plugin = makePlugin("p", { pluginConfig: { a: 1 }, url: "oci://a/b:1", priority: 1 });
  const edited = makePlugin("p", { pluginConfig: { a: 2 }, url: "oci://a/b:2", priority: 1 });
  assert.equal(filterKey(plugin), filterKey(edited));
  const others = [
    makePlugin("q"),
    makePlugin("p", { phase: PluginPhase.AUTHN }),
    makePlugin("p", { failStrategy: FailStrategy.FAIL_OPEN }),
    makePlugin("p", { match: [{ ports: [{ number: 80 }] }] }),
  ];
  assert.equal(new Set([plugin, ...others].map(filterKey)).size, 5);
});
