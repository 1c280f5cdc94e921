import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { createXdsMemory, type XdsMemory } from "./xds-memory.ts";

/** What is remembered of a type, as `name@version`. */
function remembered(memory: XdsMemory, typeUrl: string): string[] {
  const resources = memory.snapshot()?.get(typeUrl)?.resources.values() ?? [];
  return [...resources].map(({ name, version }) => `${name}@${version}`);
}

/** A response with resources `name@version`; their value is the name, in field 1. */
function learn(
  memory: XdsMemory,
  typeUrl: string,
  resources: readonly string[],
  removed: string[] = [],
): void {
  const parts = resources.map((resource) => resource.split("@") as [string, string]);
  memory.learnIncremental(
    create(DeltaDiscoveryResponseSchema, {
      ...{ typeUrl, removedResources: removed, systemVersionInfo: "1" },
      resources: parts.map(([name, version]) => ({
        name,
        version,
        resource: { typeUrl, value: named(name) },
      })),
    }),
  );
}

function learnWorld(memory: XdsMemory, typeUrl: string, versionInfo: string, names: readonly string[]): void {
  const resources = names.map((name) => ({ typeUrl, value: named(name) }));
  memory.learnStateOfTheWorld(create(DiscoveryResponseSchema, { typeUrl, versionInfo, resources }));
}

const named = (name: string) => Buffer.from([0x0a, name.length, ...Buffer.from(name)]);

test("there is nothing to answer with until listeners and clusters are known, be there none", () => {
  const memory = createXdsMemory();
  assert.equal(memory.snapshot(), undefined);
  learn(memory, typeUrls.cluster, ["a@1"]);
  assert.equal(memory.snapshot(), undefined);
  learn(memory, typeUrls.listener, []);
  assert.deepEqual(remembered(memory, typeUrls.cluster), ["a@1"]);
});

test("incremental: the latest of each, with discovery's versions, without what was removed or is not asked for", () => {
  const memory = createXdsMemory();
  learn(memory, typeUrls.cluster, ["a@1", "b@1", "c@1"]);
  learn(memory, typeUrls.listener, []);
  learn(memory, typeUrls.endpoints, ["a@1", "b@1"]);
  learn(memory, typeUrls.cluster, ["b@2"], ["c"]);
  assert.deepEqual(remembered(memory, typeUrls.cluster), ["a@1", "b@2"]);
  const unsubscribed = { typeUrl: typeUrls.endpoints, resourceNamesUnsubscribe: ["a"] };
  memory.forgetIncremental(create(DeltaDiscoveryRequestSchema, unsubscribed));
  assert.deepEqual(remembered(memory, typeUrls.endpoints), ["b@1"]);
});

test("incremental: a resource without a body lives on as it is", () => {
  const memory = createXdsMemory();
  learn(memory, typeUrls.listener, []);
  learn(memory, typeUrls.cluster, ["a@1"]);
  const heartbeat = { typeUrl: typeUrls.cluster, resources: [{ name: "a", version: "1" }] };
  memory.learnIncremental(create(DeltaDiscoveryResponseSchema, heartbeat));
  assert.deepEqual([...memory.snapshot()!.get(typeUrls.cluster)!.resources.values()][0]?.value, named("a"));
});

test("state of the world: a whole type is replaced, of a named one what is missing stays while it is asked for", () => {
  const memory = createXdsMemory();
  learnWorld(memory, typeUrls.listener, "1", ["a", "b"]);
  learnWorld(memory, typeUrls.cluster, "1", ["a", "b"]);
  learnWorld(memory, typeUrls.endpoints, "1", ["a", "b"]);
  learnWorld(memory, typeUrls.cluster, "2", ["b"]);
  learnWorld(memory, typeUrls.endpoints, "2", ["b"]);
  assert.deepEqual(remembered(memory, typeUrls.cluster), ["b@2"]);
  assert.deepEqual(remembered(memory, typeUrls.endpoints), ["a@1", "b@2"]);
  for (const typeUrl of [typeUrls.endpoints, typeUrls.cluster])
    memory.forgetStateOfTheWorld(create(DiscoveryRequestSchema, { typeUrl, resourceNames: ["a"] }));
  assert.deepEqual(remembered(memory, typeUrls.endpoints), ["a@1"]);
  assert.deepEqual(remembered(memory, typeUrls.cluster), ["b@2"]);
});

test("what was answered with stays as it was", () => {
  const memory = createXdsMemory();
  learn(memory, typeUrls.listener, []);
  learn(memory, typeUrls.cluster, ["a@1"]);
  const snapshot = memory.snapshot()!;
  learn(memory, typeUrls.cluster, ["b@1"], ["a"]);
  assert.deepEqual([...snapshot.get(typeUrls.cluster)!.resources.keys()], ["a"]);
});
