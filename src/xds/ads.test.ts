import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { fc } from "../../test/peers/properties.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { adsDefinition, serverDefinition, typeUrlOf } from "./ads.ts";

const text = fc.string({ unit: "grapheme", maxLength: 200 });
const encode = <D extends DescMessage>(schema: D, fields: MessageInitShape<D>) =>
  toBinary(schema, create(schema, fields));

suite("typeUrlOf", () => {
  test("reads what the generated code wrote, whatever comes before", () => {
    fc.assert(
      fc.property(text, text, fc.array(text), (typeUrl, other, names) => {
        const node = { id: other, cluster: other };
        const resources = names.map((name) => ({ name, version: other }));
        const anys = names.map((name) => ({ typeUrl: other, value: Buffer.from(name) }));
        const nonce = other;
        const messages = [
          [
            encode(DiscoveryRequestSchema, { node, typeUrl, versionInfo: other, resourceNames: names }),
            "request",
            "streamAggregatedResources",
          ],
          [
            encode(DiscoveryResponseSchema, { typeUrl, nonce, resources: anys, canary: true }),
            "response",
            "streamAggregatedResources",
          ],
          [
            encode(DeltaDiscoveryRequestSchema, { node, typeUrl, resourceNamesSubscribe: names }),
            "request",
            "deltaAggregatedResources",
          ],
          [
            encode(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources, removedResources: names }),
            "response",
            "deltaAggregatedResources",
          ],
        ] as const;
        for (const [bytes, kind, method] of messages) assert.equal(typeUrlOf(bytes, kind, method), typeUrl);
      }),
    );
  });

  test("is empty where there is none", () => {
    assert.equal(typeUrlOf(new Uint8Array(), "request", "deltaAggregatedResources"), "");
    const bytes = encode(DiscoveryResponseSchema, { versionInfo: "1", nonce: "2" });
    assert.equal(typeUrlOf(bytes, "response", "streamAggregatedResources"), "");
  });

  test("throws where the bytes are no message, and ends", () => {
    const bytes = encode(DeltaDiscoveryResponseSchema, { systemVersionInfo: "version", typeUrl: "type" });
    const read = (cut: Uint8Array) => () => typeUrlOf(cut, "response", "deltaAggregatedResources");
    assert.throws(read(bytes.subarray(0, 5)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (garbage) => {
        try {
          assert.equal(typeof read(garbage)(), "string");
        } catch (error) {
          assert.ok(error instanceof Error && error.name !== "AssertionError", String(error));
        }
      }),
    );
  });
});

test("both forms of the service are at the paths that Envoy calls", () => {
  for (const definition of [adsDefinition, serverDefinition]) {
    assert.deepEqual(
      Object.values(definition).map(({ path }) => path),
      [
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
      ],
    );
  }
});
