import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { AsyncDataSourceSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { CompositeSchema } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { FailurePolicy, type PluginConfigSchema } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { encodeResource, type XdsResource } from "../xds/snapshot.ts";
import { extensionConfigNameOf, readWasmResource, substituteFor, withLocalModule } from "./rewrite.ts";

type Code = MessageInitShape<typeof AsyncDataSourceSchema>["specifier"];
type Env = Readonly<Record<string, string>>;

const name = "higress-system.p";
const path = "/modules/ab.wasm";

function remote(uri: string, sha256 = ""): Code {
  return { case: "remote", value: { sha256, httpUri: { uri, timeout: { seconds: 30n } } } };
}

function makeResource(
  code: Code,
  keyValues: Env = {},
  plugin: MessageInitShape<typeof PluginConfigSchema> & { $typeName?: undefined } = {},
  hostEnvKeys: string[] = [],
): XdsResource {
  const configuration = anyPack(StringValueSchema, create(StringValueSchema, { value: '{"a":1}' }));
  const wasm = create(WasmSchema, {
    config: {
      name,
      rootId: "root",
      configuration,
      ...plugin,
      vm: {
        case: "vmConfig",
        value: {
          runtime: "envoy.wasm.runtime.v8",
          code: { specifier: code },
          environmentVariables: { keyValues, hostEnvKeys },
        },
      },
    },
  });
  return wrap(anyPack(WasmSchema, wasm));
}

function wrap(typedConfig: Any): XdsResource {
  return encodeResource(
    name,
    TypedExtensionConfigSchema,
    create(TypedExtensionConfigSchema, { name, typedConfig }),
  );
}

function read(resource: XdsResource) {
  return readWasmResource(resource) ?? assert.fail("the resource passes untouched");
}

suite("what is asked for", () => {
  test("is said by the code and by Istio's variables", () => {
    const env = {
      ISTIO_META_WASM_IMAGE_PULL_POLICY: "Always",
      ISTIO_META_WASM_IMAGE_PULL_SECRET: "{}",
      ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: "v1",
    };
    assert.deepEqual(read(makeResource(remote("oci://a/b:1", "AB"), env)).request, {
      resource: name,
      resourceVersion: "v1",
      pullPolicy: "Always",
      pullSecret: "{}",
      url: "oci://a/b:1",
      sha256: "ab",
    });
  });

  test("is without policy, secret and checksum where nothing is said of them", () => {
    for (const sha256 of ["", "nil"]) {
      assert.deepEqual(read(makeResource(remote("https://a/b.wasm", sha256))).request, {
        resource: name,
        resourceVersion: "",
        pullPolicy: "unspecified",
        pullSecret: undefined,
        url: "https://a/b.wasm",
        sha256: undefined,
      });
    }
    const odd = makeResource(remote("oci://a/b"), { ISTIO_META_WASM_IMAGE_PULL_POLICY: "Never" });
    assert.equal(read(odd).request.pullPolicy, "unspecified");
  });

  test("keeps apart a pull secret that is empty and none", () => {
    const denied = makeResource(remote("oci://a/b"), { ISTIO_META_WASM_IMAGE_PULL_SECRET: "" });
    assert.equal(read(denied).request.pullSecret, "");
  });

  test("may be a local file, with its checksum", () => {
    const code: Code = { case: "local", value: { specifier: { case: "filename", value: "/opt/p.wasm" } } };
    const { request } = read(makeResource(code, { ISTIO_META_WASM_LOCAL_SHA256: "CD" }));
    assert.deepEqual([request.url, request.sha256], ["file:///opt/p.wasm", "cd"]);
  });
});

test("whether a plugin fails open is said by its policy, or by the older field", () => {
  const { UNSPECIFIED, FAIL_RELOAD, FAIL_CLOSED, FAIL_OPEN } = FailurePolicy;
  const cases = [
    [UNSPECIFIED, false, false],
    [UNSPECIFIED, true, true],
    [FAIL_OPEN, false, true],
    [FAIL_CLOSED, true, false],
    [FAIL_RELOAD, true, false],
  ] as const;
  for (const [failurePolicy, failOpen, expected] of cases) {
    const wasm = read(makeResource(remote("oci://a/b"), {}, { failurePolicy, failOpen }));
    assert.equal(wasm.failOpen, expected, FailurePolicy[failurePolicy]);
  }
});

test("anything but a Wasm filter with code to fetch passes untouched", () => {
  const inline: Code = {
    case: "local",
    value: { specifier: { case: "inlineBytes", value: new Uint8Array(8) } },
  };
  const listener = encodeResource("l", ListenerSchema, create(ListenerSchema, { name: "l" }));
  const empty = encodeResource(
    name,
    TypedExtensionConfigSchema,
    create(TypedExtensionConfigSchema, { name }),
  );
  const untouched = [
    listener,
    empty,
    wrap(anyPack(CompositeSchema, create(CompositeSchema))),
    wrap(anyPack(WasmSchema, create(WasmSchema))),
    makeResource(inline),
    makeResource(remote("")),
    makeResource({ case: undefined }),
  ];
  for (const resource of untouched) assert.equal(readWasmResource(resource), undefined);
});

suite("the filter with its local module", () => {
  const env = { ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: "v1", ISTIO_META_OTHER: "x", MODE: "fast" };
  const jsonOf = (resource: XdsResource) => resourceJson(withLocalModule(read(resource), path), true);

  test("is the same but for its code and Istio's variables", () => {
    const resource = makeResource(
      remote("oci://a/b:1", "ab"),
      env,
      { failurePolicy: FailurePolicy.FAIL_OPEN },
      ["HOME"],
    );
    assert.deepEqual(jsonOf(resource), {
      name,
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        config: {
          name,
          root_id: "root",
          vm_config: {
            runtime: "envoy.wasm.runtime.v8",
            code: { local: { filename: path } },
            environment_variables: { host_env_keys: ["HOME"], key_values: { MODE: "fast" } },
          },
          configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: '{"a":1}' },
          failure_policy: "FAIL_OPEN",
        },
      },
    });
  });

  test("says to Envoy that a module gets bodies while it holds headers", () => {
    const [without, held] = [false, true].map((heldBodies) => {
      const local = withLocalModule(read(makeResource(remote("oci://a/b"))), path, heldBodies);
      const json = resourceJson(local, true) as { typed_config: { config: Record<string, unknown> } };
      return json.typed_config.config;
    });
    assert.deepEqual(held, { ...without, allow_on_headers_stop_iteration: true });
  });

  test("has no environment where nothing is left of it, and its host's alone where that is", () => {
    const vmOf = (resource: XdsResource) =>
      (jsonOf(resource) as { typed_config: { config: { vm_config: Record<string, unknown> } } }).typed_config
        .config.vm_config;
    const { MODE, ...istio } = env;
    assert.ok(MODE && !("environment_variables" in vmOf(makeResource(remote("oci://a/b"), istio))));
    const hostOnly = vmOf(makeResource(remote("oci://a/b"), istio, {}, ["HOME"]));
    assert.deepEqual(hostOnly.environment_variables, { host_env_keys: ["HOME"] });
  });

  test("keeps discovery's version, and says nothing of the plugin's", () => {
    const [one, two] = ["v1", "v2"].map((version) => {
      const resource = makeResource(remote("oci://a/b"), {
        ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: version,
      });
      const local = withLocalModule(read(resource), path);
      assert.deepEqual(
        [local.name, local.version, local.typeUrl],
        [name, resource.version, resource.typeUrl],
      );
      return local;
    });
    assert.notEqual(one!.version, two!.version);
    assert.deepEqual(one!.value, two!.value);
  });

  test("leaves what it was made of as it was", () => {
    const wasm = read(makeResource(remote("oci://a/b:1"), env));
    withLocalModule(wasm, path);
    assert.equal(wasm.wasm.config?.vm.value?.code?.specifier.case, "remote");
    assert.equal(withLocalModule(wasm, "/other.wasm").name, name);
  });
});

suite("what stands in for a filter without module", () => {
  const substitute = (failurePolicy: FailurePolicy) => {
    const resource = makeResource(remote("oci://a/b"), {}, { failurePolicy });
    const made = substituteFor(read(resource));
    assert.equal(made.version, `${resource.version}~substitute`);
    assert.equal(fromBinary(TypedExtensionConfigSchema, made.value).name, name);
    return (resourceJson(made, true) as { typed_config: unknown }).typed_config;
  };
  const rbac = { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC" };

  test("denies everything where the plugin fails closed", () => {
    const expected = { ...rbac, rules: {}, rules_stat_prefix: "wasm-default-deny" };
    for (const policy of [FailurePolicy.FAIL_CLOSED, FailurePolicy.FAIL_RELOAD, FailurePolicy.UNSPECIFIED])
      assert.deepEqual(substitute(policy), expected);
  });

  test("lets everything pass where it fails open", () => {
    assert.deepEqual(substitute(FailurePolicy.FAIL_OPEN), {
      ...rbac,
      rules_stat_prefix: "wasm-default-allow",
    });
  });
});

test("a resource says its name", () => {
  assert.equal(extensionConfigNameOf(makeResource(remote("oci://a/b")).value), name);
});
