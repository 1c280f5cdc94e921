import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  TrafficExtension_ExecutionPhase,
  TrafficExtensionSchema,
} from "../gen/istio/extensions/v1alpha1/traffic_extension_pb.ts";
import {
  EnvValueSource,
  FailStrategy,
  PluginPhase,
  PluginType,
  PullPolicy,
  WasmPluginSchema,
} from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { ResourceSchema } from "../gen/istio/mcp/v1alpha1/resource_pb.ts";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { ServiceEntrySchema } from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { WorkloadMode } from "../gen/istio/type/v1beta1/selector_pb.ts";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import { SystemError } from "../system-error.ts";
import { emptyIstioConfigSet, type IstioConfig } from "./config.ts";
import { configz } from "./configz.ts";
import { kinds } from "./kinds.ts";
import { decodeMcp, encodeMcp, encodeTrafficExtension, mcpName } from "./mcp.ts";

const wasmPlugin: IstioConfig<"WasmPlugin"> = {
  kind: "WasmPlugin",
  namespace: "higress-system",
  name: "key-auth",
  spec: create(WasmPluginSchema, {
    selector: { matchLabels: { higress: "gateway" } },
    url: "oci://a/b:1",
    sha256: "ab",
    imagePullPolicy: PullPolicy.Always,
    imagePullSecret: "registry",
    verificationKey: "key",
    pluginConfig: { keys: ["x-api-key"], deep: { n: 1.5, none: null, yes: true } },
    pluginName: "root",
    phase: PluginPhase.AUTHZ,
    priority: -5,
    failStrategy: FailStrategy.FAIL_OPEN,
    vmConfig: { env: [{ name: "A", valueFrom: EnvValueSource.HOST }] },
    match: [{ mode: WorkloadMode.CLIENT, ports: [{ number: 80 }] }],
    type: PluginType.HTTP,
  }),
};

const samples: readonly IstioConfig[] = [
  wasmPlugin,
  { kind: "WasmPlugin", namespace: "ns", name: "empty", spec: create(WasmPluginSchema) },
  {
    kind: "Gateway",
    namespace: "ns",
    name: "gateway",
    annotations: { "internal.higress.io/host": "a.com" },
    spec: create(GatewaySchema, {
      selector: { a: "b" },
      servers: [{ hosts: ["a.com"], port: { number: 80 } }],
    }),
  },
  {
    kind: "ServiceEntry",
    namespace: "ns",
    name: "entry",
    spec: create(ServiceEntrySchema, { hosts: ["a"], ports: [{ number: 80, name: "http" }] }),
  },
  {
    kind: "VirtualService",
    namespace: "ns",
    name: "service",
    spec: create(VirtualServiceSchema, { hosts: ["a"], http: [{ name: "ns/a", timeout: { seconds: 3n } }] }),
  },
  {
    kind: "Secret",
    namespace: "ns",
    name: "secret",
    spec: create(SecretSchema, { type: "Opaque", data: { a: new Uint8Array([0, 255]) } }),
  },
];

function envelopeOf({ value }: { readonly value: Uint8Array }) {
  return fromBinary(ResourceSchema, value);
}

suite("encodeMcp and decodeMcp", () => {
  for (const sample of samples) {
    test(`${sample.kind} ${sample.name} comes back as it went`, () => {
      const encoded = encodeMcp(sample);
      assert.equal(encoded.typeUrl, "type.googleapis.com/istio.mcp.v1alpha1.Resource");
      assert.equal(encoded.name, `${sample.namespace}/${sample.name}`);
      assert.equal(mcpName(encoded.value), encoded.name);
      const decoded = decodeMcp(sample.kind, encoded.value);
      assert.deepEqual(
        [decoded.kind, decoded.namespace, decoded.name],
        [sample.kind, sample.namespace, sample.name],
      );
      assert.deepEqual({ ...decoded.annotations }, { ...sample.annotations });
      assert.ok(equals(kinds[sample.kind].schema, decoded.spec, sample.spec));
      assert.equal(
        envelopeOf(encoded).body?.typeUrl,
        `type.googleapis.com/${kinds[sample.kind].schema.typeName}`,
      );
    });
  }

  test("the creation time is Go's zero time", () => {
    const { createTime } = envelopeOf(encodeMcp(wasmPlugin)).metadata!;
    assert.deepEqual([createTime?.seconds, createTime?.nanos], [-62135596800n, 0]);
  });
});

suite("the version", () => {
  const versionOf = (config: IstioConfig) => envelopeOf(encodeMcp(config)).metadata!.version;

  test("is there, is what decoding gives, and is the same for the same content", () => {
    const version = versionOf(wasmPlugin);
    assert.match(version, /^[\w-]{16}$/);
    assert.equal(decodeMcp("WasmPlugin", encodeMcp(wasmPlugin).value).version, version);
    assert.equal(versionOf({ ...wasmPlugin, spec: create(WasmPluginSchema, wasmPlugin.spec) }), version);
  });

  test("changes with the spec and with the annotations", () => {
    const versions = [
      wasmPlugin,
      { ...wasmPlugin, spec: { ...wasmPlugin.spec, priority: -4 } },
      { ...wasmPlugin, spec: { ...wasmPlugin.spec, pluginConfig: { keys: [] } } },
      { ...wasmPlugin, annotations: { a: "b" } },
    ].map(versionOf);
    assert.equal(new Set(versions).size, versions.length);
  });
});

suite("a resource that cannot be read", () => {
  const body = anyPack(WasmPluginSchema, create(WasmPluginSchema));
  const encode = (name: string, content = body) =>
    toBinary(ResourceSchema, create(ResourceSchema, { metadata: { name }, body: content }));
  const refused = (run: () => unknown, message: RegExp) =>
    assert.throws(
      run,
      (error) => error instanceof SystemError && error.code === "xds" && message.test(error.message),
    );

  test("has a name that is not namespace/name", () => {
    for (const name of ["", "plugin", "/plugin", "ns/", "a/b/c"])
      refused(() => decodeMcp("WasmPlugin", encode(name)), /expected "namespace\/name"/);
    refused(
      () => decodeMcp("WasmPlugin", toBinary(ResourceSchema, create(ResourceSchema, { body }))),
      /expected "namespace\/name"/,
    );
    assert.equal(decodeMcp("WasmPlugin", encode("ns/plugin")).name, "plugin");
  });

  test("is of another kind, or has no body", () => {
    refused(
      () => decodeMcp("Gateway", encode("ns/plugin")),
      /ns\/plugin .*WasmPlugin, expected istio.networking.v1alpha3.Gateway/,
    );
    const bare = toBinary(ResourceSchema, create(ResourceSchema, { metadata: { name: "ns/plugin" } }));
    refused(() => decodeMcp("WasmPlugin", bare), /body of nothing/);
    refused(
      () => decodeMcp("WasmPlugin", encode("ns/plugin", create(AnySchema))),
      /expected istio.extensions/,
    );
  });
});

suite("values of Secrets", () => {
  const shownSpec = create(WasmPluginSchema, { ...wasmPlugin.spec, pluginConfig: { token: "(template)" } });
  const spec = create(WasmPluginSchema, { ...wasmPlugin.spec, pluginConfig: { token: "hidden" } });
  const decoded = decodeMcp("WasmPlugin", encodeMcp({ ...wasmPlugin, spec, shownSpec }).value);

  test("reach discovery, and are marked", () => {
    assert.deepEqual(decoded.spec.pluginConfig, { token: "hidden" });
    assert.deepEqual({ ...decoded.annotations }, { "wasmline.io/holds-secrets": "true" });
  });

  test("are on none of discovery's debug pages", () => {
    const text = configz({ ...emptyIstioConfigSet, WasmPlugin: [decoded] });
    assert.ok(!text.includes("hidden"));
    assert.ok(text.includes('"phase":"AUTHZ","priority":-5,"failStrategy":"FAIL_OPEN"'));
  });
});

test("a TrafficExtension has everything that the WasmPlugin has, each in its place", () => {
  const encoded = encodeTrafficExtension(wasmPlugin);
  assert.equal(encoded.name, "higress-system/key-auth");
  const { body, metadata } = envelopeOf(encoded);
  assert.equal(metadata?.name, "higress-system/key-auth");
  const extension = body && anyUnpack(body, TrafficExtensionSchema);
  const expected = create(TrafficExtensionSchema, {
    selector: { matchLabels: { higress: "gateway" } },
    phase: TrafficExtension_ExecutionPhase.AUTHZ,
    priority: -5,
    match: [{ mode: WorkloadMode.CLIENT, ports: [{ number: 80 }] }],
    wasm: {
      url: "oci://a/b:1",
      sha256: "ab",
      imagePullPolicy: PullPolicy.Always,
      imagePullSecret: "registry",
      verificationKey: "key",
      pluginConfig: { keys: ["x-api-key"], deep: { n: 1.5, none: null, yes: true } },
      pluginName: "root",
      failStrategy: FailStrategy.FAIL_OPEN,
      vmConfig: { env: [{ name: "A", valueFrom: EnvValueSource.HOST }] },
      type: PluginType.HTTP,
    },
  });
  assert.ok(extension && equals(TrafficExtensionSchema, extension, expected));
});
