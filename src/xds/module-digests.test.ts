import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { adsDefinition } from "./ads.ts";
import { createModuleTally, modulesOf, withModules } from "./module-digests.ts";

const a = `sha256:${"a".repeat(64)}`;
const b = `sha256:${"b".repeat(64)}`;
const { deltaAggregatedResources: delta, streamAggregatedResources: stateOfTheWorld } = adsDefinition;

suite("modules in requests", () => {
  test("come over the wire in both forms, and leave the rest as it is", () => {
    const modules = new Map([
      ["ns.p", a],
      ["ns.q", ""],
    ]);
    const request = create(DeltaDiscoveryRequestSchema, { typeUrl: "t", responseNonce: "n" });
    const read = delta.requestDeserialize(delta.requestSerialize(withModules(request, modules)));
    assert.deepEqual(modulesOf(read), modules);
    assert.deepEqual([read.typeUrl, read.responseNonce], ["t", "n"]);
    const other = withModules(create(DiscoveryRequestSchema, { typeUrl: "t" }), modules);
    assert.deepEqual(
      modulesOf(stateOfTheWorld.requestDeserialize(stateOfTheWorld.requestSerialize(other))),
      modules,
    );
  });

  test("the last word counts, and no word is no field", () => {
    const request = create(DeltaDiscoveryRequestSchema, {});
    const twice = withModules(withModules(request, new Map([["p", a]])), new Map([["p", b]]));
    assert.deepEqual(modulesOf(twice), new Map([["p", b]]));
    assert.equal(withModules(request, new Map()), request);
    assert.deepEqual(modulesOf(request), new Map());
  });

  test("what is no digest is not taken", () => {
    const said = (value: unknown) =>
      modulesOf(withModules(create(DeltaDiscoveryRequestSchema), new Map([["p", value as string]])));
    for (const value of ["sha256:", "SHA256:ab", `${a}0`, "<script>", 7, null, { a: 1 }])
      assert.deepEqual(said(value), new Map(), String(value));
  });

  test("a field that cannot be read says nothing", () => {
    const request = withModules(create(DeltaDiscoveryRequestSchema), new Map([["p", a]]));
    const [field] = request.$unknown!;
    for (const text of ["", "{", "7", "null", "[]"]) {
      const data = new Uint8Array([text.length, ...Buffer.from(text)]);
      assert.deepEqual(modulesOf({ ...request, $unknown: [{ ...field!, data }] }), new Map());
    }
  });
});

test("a tally counts clients by what they said last", () => {
  const tally = createModuleTally();
  const [one, two] = [new Map<string, string>(), new Map<string, string>()];
  tally.note(one, new Map([["p", a]]));
  tally.note(two, new Map([["p", a]]));
  tally.note(two, new Map([["p", a]]));
  assert.deepEqual([...tally.of("p")], [[a, 2]]);
  tally.note(two, new Map([["p", b]]));
  assert.deepEqual([...tally.of("p")].sort(), [
    [a, 1],
    [b, 1],
  ]);
  tally.note(one, new Map([["p", ""]]));
  assert.deepEqual([...tally.of("p")], [[b, 1]]);
  tally.forget(two);
  assert.deepEqual([...tally.of("p")], []);
});
