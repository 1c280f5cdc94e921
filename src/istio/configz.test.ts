import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PluginPhase, PullPolicy, WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { ServiceEntrySchema } from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import { emptyIstioConfigSet, type IstioConfig, type IstioConfigSet } from "./config.ts";
import { configz } from "./configz.ts";

function makePlugin(spec: Parameters<typeof create<typeof WasmPluginSchema>>[1]): IstioConfig<"WasmPlugin"> {
  const namespace = "higress-system";
  return { kind: "WasmPlugin", namespace, name: "custom-response", spec: create(WasmPluginSchema, spec) };
}

function makeSet(parts: Partial<IstioConfigSet>): IstioConfigSet {
  return { ...emptyIstioConfigSet, ...parts };
}

const chapter = makePlugin({
  selector: { matchLabels: { higress: "higress-system-higress-gateway" } },
  url: "oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/custom-response:1.0.0",
  imagePullPolicy: PullPolicy.Always,
  pluginConfig: {
    headers: ["key1=value1"],
    body: '{"hello":"foo"}',
    _rules_: [
      { headers: ["key2=value2"], body: '{"hello":"foo"}', _match_domain_: ["foo.com"] },
      { headers: ["key3=value3"], body: '{"hello":"bar"}', _match_route_: ["higress-course/ingress-bar"] },
      {
        headers: ["key4=value4"],
        body: '{"hello":"echo server"}',
        _match_service_: ["echo-server.higress-course.svc.cluster.local"],
      },
    ],
  },
  phase: PluginPhase.AUTHN,
  priority: 200,
});

const pretty = String.raw`[
    {
        "kind": "WasmPlugin",
        "apiVersion": "extensions.istio.io/v1alpha1",
        "metadata": {
            "name": "custom-response",
            "namespace": "higress-system"
        },
        "spec": {
            "selector": {
                "matchLabels": {
                    "higress": "higress-system-higress-gateway"
                }
            },
            "url": "oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/custom-response:1.0.0",
            "imagePullPolicy": "Always",
            "pluginConfig": {
                "_rules_": [
                    {
                        "_match_domain_": [
                            "foo.com"
                        ],
                        "body": "{\"hello\":\"foo\"}",
                        "headers": [
                            "key2=value2"
                        ]
                    },
                    {
                        "_match_route_": [
                            "higress-course/ingress-bar"
                        ],
                        "body": "{\"hello\":\"bar\"}",
                        "headers": [
                            "key3=value3"
                        ]
                    },
                    {
                        "_match_service_": [
                            "echo-server.higress-course.svc.cluster.local"
                        ],
                        "body": "{\"hello\":\"echo server\"}",
                        "headers": [
                            "key4=value4"
                        ]
                    }
                ],
                "body": "{\"hello\":\"foo\"}",
                "headers": [
                    "key1=value1"
                ]
            },
            "phase": "AUTHN",
            "priority": 200
        }
    }
]`;

test("the chapter's plugin, to the byte", () => {
  const set = makeSet({ WasmPlugin: [chapter] });
  assert.equal(configz(set, true), pretty);
  assert.equal(configz(set), JSON.stringify(JSON.parse(pretty)));
});

test("nothing is an empty list, pretty or not", () => {
  assert.equal(configz(emptyIstioConfigSet), "[]");
  assert.equal(configz(emptyIstioConfigSet, true), "[]");
});

test("kinds are in the order of Higress' store, resources in that of their list, and Secrets are not shown", () => {
  const named = { namespace: "ns", name: "n" };
  const set = makeSet({
    Secret: [
      { ...named, kind: "Secret", spec: create(SecretSchema, { data: { token: Buffer.from("hidden") } }) },
    ],
    WasmPlugin: [
      { ...chapter, name: "b" },
      { ...chapter, name: "a" },
    ],
    VirtualService: [{ ...named, kind: "VirtualService", spec: create(VirtualServiceSchema) }],
    ServiceEntry: [{ ...named, kind: "ServiceEntry", spec: create(ServiceEntrySchema) }],
    Gateway: [{ ...named, kind: "Gateway", spec: create(GatewaySchema) }],
  });
  const shown = JSON.parse(configz(set)) as {
    kind: string;
    apiVersion: string;
    metadata: { name: string };
  }[];
  assert.deepEqual(
    shown.map(({ kind, apiVersion, metadata }) => [kind, apiVersion, metadata.name]),
    [
      ["Gateway", "networking.istio.io/v1alpha3", "n"],
      ["ServiceEntry", "networking.istio.io/v1alpha3", "n"],
      ["VirtualService", "networking.istio.io/v1alpha3", "n"],
      ["WasmPlugin", "extensions.istio.io/v1alpha1", "b"],
      ["WasmPlugin", "extensions.istio.io/v1alpha1", "a"],
    ],
  );
});

test("annotations come after name and namespace, sorted; no namespace is the default one", () => {
  const gateway: IstioConfig<"Gateway"> = {
    kind: "Gateway",
    namespace: "",
    name: "g",
    annotations: { b: "<2>", a: "1" },
    spec: create(GatewaySchema),
  };
  const set = makeSet({ Gateway: [gateway, { ...gateway, annotations: {} }] });
  const head =
    '{"kind":"Gateway","apiVersion":"networking.istio.io/v1alpha3","metadata":{"name":"g","namespace":"default"';
  assert.equal(
    configz(set),
    `[${head},"annotations":{"a":"1","b":"\\u003c2\\u003e"}},"spec":{}},${head}},"spec":{}}]`,
  );
});

test("texts are escaped as Go does, and pretty printing touches none of them", () => {
  const config = { 'a "quoted" key': 'x: [1,2] {"a" : 1}\\', "<b>": "&\u2028" };
  const set = makeSet({ WasmPlugin: [makePlugin({ pluginConfig: config })] });
  const expected = String.raw`"pluginConfig":{"\u003cb\u003e":"\u0026\u2028","a \"quoted\" key":"x: [1,2] {\"a\" : 1}\\"}`;
  assert.ok(configz(set).includes(expected));
  assert.deepEqual(JSON.parse(configz(set, true)), JSON.parse(configz(set)));
  assert.ok(configz(set, true).includes(String.raw`"a \"quoted\" key": "x: [1,2] {\"a\" : 1}\\"`));
});

test("where a spec holds values from Secrets, the other one is shown", () => {
  const shownSpec = create(WasmPluginSchema, { pluginConfig: { token: "(template)" } });
  const plugin = { ...makePlugin({ pluginConfig: { token: "hidden" } }), shownSpec };
  const text = configz(makeSet({ WasmPlugin: [plugin] }));
  assert.ok(text.includes('"token":"(template)"'));
  assert.ok(!text.includes("hidden"));
});
