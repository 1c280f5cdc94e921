import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { fc } from "../../test/peers/properties.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { FilterChainConfigSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { encodeFilterChain, encodeFrame, encodeIncremental, encodeStateOfTheWorld } from "./encode.ts";
import type { SnapshotResource, XdsResource } from "./snapshot.ts";

/** Lengths around those at which the length itself takes another byte. */
const size = fc.oneof(fc.integer({ min: 0, max: 140 }), fc.integer({ min: 16_200, max: 16_500 }));
const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: "grapheme", maxLength: 30 }) },
  { weight: 1, arbitrary: size.map((length) => "n".repeat(length)) },
);
const value = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.tuple(size, fc.integer({ min: 0, max: 255 })).map(([length, byte]) => new Uint8Array(length).fill(byte)),
);
const resource: fc.Arbitrary<XdsResource> = fc.record({ name: text, version: text, typeUrl: text, value });
const response = fc.record({
  typeUrl: text,
  version: text,
  nonce: text,
  resources: fc.array(resource, { maxLength: 4 }),
  removed: fc.array(text, { maxLength: 4 }),
});

type ResponseFields = typeof response extends fc.Arbitrary<infer Fields> ? Fields : never;

const framed = (resources: readonly XdsResource[]): SnapshotResource[] =>
  resources.map((each) => ({ ...each, frame: encodeFrame(each) }));
const anyOf = ({ typeUrl, value }: Omit<XdsResource, "version">) => ({ typeUrl, value });

function incrementalMessage({ typeUrl, version, nonce, resources, removed }: ResponseFields) {
  return create(DeltaDiscoveryResponseSchema, {
    typeUrl,
    systemVersionInfo: version,
    nonce,
    resources: resources.map((each) => ({ name: each.name, version: each.version, resource: anyOf(each) })),
    removedResources: removed,
  });
}

function stateOfTheWorldMessage({ typeUrl, version, nonce, resources }: ResponseFields) {
  return create(DiscoveryResponseSchema, {
    typeUrl,
    versionInfo: version,
    nonce,
    resources: resources.map(anyOf),
  });
}

suite("what is encoded by hand is what the generated code reads", () => {
  test("FilterChainConfig", () => {
    const filter = fc.record({ name: text, typeUrl: text, value });
    fc.assert(
      fc.property(text, fc.array(filter, { maxLength: 4 }), (name, entries) => {
        const filters = entries.map((entry) =>
          create(TypedExtensionConfigSchema, { name: entry.name, typedConfig: anyOf(entry) }),
        );
        const chain = filters.length === 0 ? {} : { defaultFilterChain: { filters } };
        const expected = create(TypedExtensionConfigSchema, {
          name,
          typedConfig: anyPack(FilterChainConfigSchema, create(FilterChainConfigSchema, chain)),
        });
        const encoded = filters.map((one) => toBinary(TypedExtensionConfigSchema, one));
        const bytes = encodeFilterChain(name, encoded);
        assert.ok(
          equals(TypedExtensionConfigSchema, fromBinary(TypedExtensionConfigSchema, bytes), expected),
        );
      }),
    );
  });

  test("DeltaDiscoveryResponse", () => {
    fc.assert(
      fc.property(response, (fields) => {
        const bytes = encodeIncremental({ ...fields, resources: framed(fields.resources) });
        const decoded = fromBinary(DeltaDiscoveryResponseSchema, bytes, { readUnknownFields: true });
        assert.ok(equals(DeltaDiscoveryResponseSchema, decoded, incrementalMessage(fields)));
        assert.deepEqual(decoded.$unknown, undefined);
      }),
    );
  });

  test("DiscoveryResponse", () => {
    fc.assert(
      fc.property(response, (fields) => {
        const bytes = encodeStateOfTheWorld({ ...fields, resources: framed(fields.resources) });
        const decoded = fromBinary(DiscoveryResponseSchema, bytes, { readUnknownFields: true });
        assert.ok(equals(DiscoveryResponseSchema, decoded, stateOfTheWorldMessage(fields)));
        assert.deepEqual(decoded.$unknown, undefined);
      }),
    );
  });

  test("the value of the Any is the end of its frame", () => {
    fc.assert(
      fc.property(resource, (each) => {
        const frame = encodeFrame(each);
        assert.deepEqual(
          Buffer.from(frame.subarray(frame.length - each.value.length)),
          Buffer.from(each.value),
        );
      }),
    );
  });
});

test("where no field is empty the bytes are as long as those of the generated code", () => {
  for (const length of [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const resources = [{ name: "n", version: "v", typeUrl: "t", value: new Uint8Array(length).fill(7) }];
    const fields = { typeUrl: "type", version: "1", nonce: "2", resources, removed: ["gone"] };
    const withFrames = { ...fields, resources: framed(resources) };
    assert.equal(
      encodeIncremental(withFrames).length,
      toBinary(DeltaDiscoveryResponseSchema, incrementalMessage(fields)).length,
    );
    assert.deepEqual(
      encodeStateOfTheWorld(withFrames),
      Buffer.from(toBinary(DiscoveryResponseSchema, stateOfTheWorldMessage(fields))),
    );
  }
});
