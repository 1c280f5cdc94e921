import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyPack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { envoyJson, resourceJson } from "./envoy-json.ts";
import { encodeResource } from "./snapshot.ts";
import { wasmTypeUrl } from "./type-urls.ts";

const wasm = create(WasmSchema, {
  config: {
    name: "p",
    rootId: "root",
    configuration: anyPack(StringValueSchema, create(StringValueSchema, { value: '{"a":1}' })),
  },
});
const extension = create(TypedExtensionConfigSchema, {
  name: "ns.p",
  typedConfig: anyPack(WasmSchema, wasm),
});

suite("envoyJson", () => {
  test("prints what an Any holds, its type first, at each depth", () => {
    const json = envoyJson(TypedExtensionConfigSchema, extension);
    assert.deepEqual(json, {
      name: "ns.p",
      typedConfig: {
        "@type": wasmTypeUrl,
        config: {
          name: "p",
          rootId: "root",
          configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: '{"a":1}' },
        },
      },
    });
    const text = JSON.stringify(json);
    assert.equal(text.match(/"@type"/g)?.length, 2);
    assert.equal(text.match(/\{"@type"/g)?.length, 2, text);
  });

  test("has the names of Envoy's own dumps on demand", () => {
    const text = JSON.stringify(envoyJson(TypedExtensionConfigSchema, extension, true));
    assert.match(text, /"typed_config":.*"root_id":"root"/);
  });

  test("an Any without a type is an empty object", () => {
    const empty = create(WasmSchema, { config: { name: "p", configuration: create(AnySchema) } });
    assert.deepEqual(envoyJson(WasmSchema, empty), { config: { name: "p", configuration: {} } });
  });
});

suite("resourceJson", () => {
  test("reads a resource by its type", () => {
    const cluster = create(ClusterSchema, { name: "c", connectTimeout: { seconds: 10n } });
    const resource = encodeResource("c", ClusterSchema, cluster);
    assert.deepEqual(resourceJson(resource), { name: "c", connectTimeout: "10s" });
    assert.deepEqual(resourceJson(resource, true), { name: "c", connect_timeout: "10s" });
  });

  test("an ECDS resource is the configuration with its Wasm filter", () => {
    const json = resourceJson(encodeResource("ns.p", TypedExtensionConfigSchema, extension));
    assert.deepEqual(json, envoyJson(TypedExtensionConfigSchema, extension));
  });

  test("a type that nobody knows is shown as its bytes", () => {
    const value = toBinary(ClusterSchema, create(ClusterSchema, { name: "c" }));
    const json = resourceJson({ name: "c", version: "1", typeUrl: "example.com/a.B", value });
    assert.deepEqual(json, { "@type": "example.com/a.B", value: Buffer.from(value).toString("base64") });
  });
});
