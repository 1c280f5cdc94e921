import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { FailurePolicy } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import {
  EnvValueSource,
  FailStrategy,
  PullPolicy,
  WasmPluginSchema,
} from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { type Secret, SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { extensionConfig } from "./extension-configs.ts";

type Init = MessageInitShape<typeof WasmPluginSchema>;

function build(spec: Init, pullSecret?: Secret, version = "v1") {
  const plugin = { namespace: "ns", name: "p", version, spec: create(WasmPluginSchema, spec) };
  return extensionConfig({ kind: "WasmPlugin", ...plugin }, pullSecret);
}

/** The Wasm filter's configuration in an ECDS resource. */
function configOf(spec: Init, pullSecret?: Secret, version?: string) {
  const { typedConfig } = fromBinary(TypedExtensionConfigSchema, build(spec, pullSecret, version).value);
  return anyUnpack(typedConfig!, WasmSchema)!.config!;
}

function envOf(spec: Init, pullSecret?: Secret) {
  const { environmentVariables } = configOf(spec, pullSecret).vm.value!;
  return { ...environmentVariables?.keyValues };
}

function codeOf(spec: Init) {
  return configOf(spec).vm.value!.code!.specifier;
}

test("a plugin as ECDS delivers it, whole", () => {
  const spec: Init = {
    url: "oci://example.com/p:1",
    sha256: "ab".repeat(32),
    pluginName: "root",
    imagePullPolicy: PullPolicy.Always,
    pluginConfig: { b: [1, 2.5], a: "<x>" },
    vmConfig: {
      env: [
        { name: "MODE", value: "fast" },
        { name: "HOME", valueFrom: EnvValueSource.HOST },
      ],
    },
  };
  const resource = build(spec);
  assert.equal(resource.name, "ns.p");
  assert.deepEqual(resourceJson(resource, true), {
    name: "ns.p",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: {
        name: "ns.p",
        root_id: "root",
        vm_config: {
          runtime: "envoy.wasm.runtime.v8",
          code: {
            remote: {
              http_uri: { uri: "oci://example.com/p:1", cluster: "_", timeout: "30s" },
              sha256: "ab".repeat(32),
            },
          },
          environment_variables: {
            host_env_keys: ["HOME"],
            key_values: {
              ISTIO_META_WASM_IMAGE_PULL_POLICY: "Always",
              ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: "v1",
              MODE: "fast",
            },
          },
        },
        configuration: {
          "@type": "type.googleapis.com/google.protobuf.StringValue",
          value: '{"a":"\\u003cx\\u003e","b":[1,2.5]}',
        },
        failure_policy: "FAIL_CLOSED",
      },
    },
  });
});

suite("the configuration", () => {
  test("is the JSON of the plugin's", () => {
    const { configuration } = configOf({ pluginConfig: { a: { z: 1, "10": 2, "2": 3 } } });
    assert.equal(anyUnpack(configuration!, StringValueSchema)?.value, '{"a":{"10":2,"2":3,"z":1}}');
  });

  test("is an Any without type where the plugin has none or an empty one", () => {
    for (const spec of [{}, { pluginConfig: {} }]) {
      const { configuration } = configOf(spec);
      assert.deepEqual([configuration?.typeUrl, configuration?.value.length], ["", 0]);
    }
  });
});

test("each fail strategy is a failure policy", () => {
  const policies = [
    [FailStrategy.FAIL_CLOSE, FailurePolicy.FAIL_CLOSED],
    [FailStrategy.FAIL_OPEN, FailurePolicy.FAIL_OPEN],
    [FailStrategy.FAIL_RELOAD, FailurePolicy.FAIL_RELOAD],
  ] as const;
  for (const [failStrategy, expected] of policies) {
    const config = configOf({ failStrategy });
    assert.deepEqual([config.failurePolicy, config.failOpen], [expected, false]);
  }
});

suite("the code", () => {
  test("is remote, with the URL's own scheme or oci", () => {
    const cases = [
      ["oci://example.com/p:1", "oci://example.com/p:1"],
      ["https://example.com/p.wasm", "https://example.com/p.wasm"],
      ["example.com/p:1", "oci://example.com/p:1"],
      ["localhost:5000/p", "oci://localhost:5000/p"],
      ["10.0.0.1:5000/p:1", "oci://10.0.0.1:5000/p:1"],
    ] as const;
    for (const [url, uri] of cases) {
      const code = codeOf({ url });
      assert.equal(code.case === "remote" && code.value.httpUri?.uri, uri);
    }
  });

  test("is local for file://, and its checksum goes in the environment", () => {
    const spec = { url: "file:///opt/p.wasm", sha256: "cd" };
    const code = codeOf(spec);
    const { specifier } = code.case === "local" ? code.value : assert.fail(`code is ${code.case}`);
    assert.deepEqual([specifier.case, specifier.value], ["filename", "/opt/p.wasm"]);
    assert.equal(envOf(spec).ISTIO_META_WASM_LOCAL_SHA256, "cd");
    assert.ok(!("ISTIO_META_WASM_LOCAL_SHA256" in envOf({ url: "oci://a/b", sha256: "cd" })));
  });
});

suite("the environment", () => {
  const version = { ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: "v1" };

  test("says the policy only where there is one", () => {
    assert.deepEqual(envOf({}), version);
    const policy = { ISTIO_META_WASM_IMAGE_PULL_POLICY: "IfNotPresent" };
    assert.deepEqual(envOf({ imagePullPolicy: PullPolicy.IfNotPresent }), { ...policy, ...version });
  });

  test("holds the pull secret, and an empty one where it is named and not to be had", () => {
    const secret = create(SecretSchema, { data: { ".dockerconfigjson": Buffer.from('{"auths":{}}') } });
    const named = { imagePullSecret: "registry" };
    assert.equal(envOf(named, secret).ISTIO_META_WASM_IMAGE_PULL_SECRET, '{"auths":{}}');
    assert.equal(envOf(named).ISTIO_META_WASM_IMAGE_PULL_SECRET, "");
    assert.equal(envOf({}, secret).ISTIO_META_WASM_IMAGE_PULL_SECRET, undefined);
  });

  test("takes any name", () => {
    const env = [{ name: "constructor", value: "1" }];
    assert.deepEqual(envOf({ vmConfig: { env } }), { ...version, constructor: "1" });
  });

  test("does not let a plugin's variable take the place of ours", () => {
    const env = [
      { name: "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION", value: "mine" },
      { name: "ISTIO_META_WASM_IMAGE_PULL_SECRET", value: "mine" },
    ];
    const spec = { imagePullSecret: "registry", vmConfig: { env } };
    assert.deepEqual(envOf(spec), { ...version, ISTIO_META_WASM_IMAGE_PULL_SECRET: "" });
  });
});

test("a new version of the plugin is a new version of the resource", () => {
  assert.notEqual(build({}, undefined, "v1").version, build({}, undefined, "v2").version);
  assert.equal(build({}, undefined, "v1").version, build({}, undefined, "v1").version);
});
