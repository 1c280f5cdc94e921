import assert from "node:assert/strict";
import { test } from "node:test";
import { readObject } from "./read-object.ts";
import { keepSpecAsText } from "./spec-text.ts";
import type { WasmPlugin } from "./types.ts";

const type = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin" };

const object = (spec: object, metadata: object = {}) => ({
  metadata: { name: "a", namespace: "apps", uid: "1", generation: 3, resourceVersion: "7", ...metadata },
  spec,
});

test("a plugin whose spec is kept as text says the same, and a change of its status is no change", () => {
  const spec = {
    url: "oci://a/b",
    defaultConfig: { a: [1, { b: "ä" }] },
    matchRules: [{ domain: ["a.com"] }],
  };
  const first = readObject(object(spec), type);
  const plugin = first.resources[0] as WasmPlugin;
  const before = structuredClone(plugin.spec);
  keepSpecAsText(plugin);
  assert.notEqual(plugin.spec, plugin.spec);
  assert.deepEqual(plugin.spec, before);
  assert.equal(readObject({ ...object(spec, { resourceVersion: "8" }), status: {} }, type, first), first);
  const changed = readObject(object({ ...spec, priority: 1 }, { generation: 4 }), type, first);
  assert.notEqual(changed.resources[0], plugin);
  assert.equal(changed.resources[0]?.metadata.server?.generation, 4);
});

test("of what nothing has changed but the status, nothing is decoded; of anything else all is", () => {
  const spec = { url: "oci://a/b", matchRules: [{ domain: ["a.com"], config: { a: 1 } }] };
  const metadata = { labels: { l: "1" }, annotations: { mine: "yes" } };
  const first = readObject(object(spec, metadata), type);
  const decoded = () => assert.fail("it was decoded");
  keepSpecAsText(first.resources[0] as WasmPlugin);
  Object.defineProperty(first.resources[0], "spec", { get: decoded });
  const managedFields = [{ manager: "m" }];
  const later = object(structuredClone(spec), { ...metadata, resourceVersion: "8", managedFields });
  assert.equal(readObject({ ...later, status: { conditions: [] } }, type, first), first);
  const changes = [{ labels: { l: "2" } }, { annotations: {} }, { generation: 4 }, { uid: "2" }];
  for (const change of changes) {
    const { resources } = readObject(object(spec, { ...metadata, ...change }), type, first);
    assert.notEqual(resources[0], first.resources[0], JSON.stringify(change));
  }
  assert.throws(() => readObject(object({ ...spec, priority: 1 }, metadata), type, first), /it was decoded/);
});

test("the copy that kubectl leaves in an object is not kept", () => {
  const annotations = { "kubectl.kubernetes.io/last-applied-configuration": "{}", mine: "yes" };
  const { resources, diagnostics } = readObject(object({}, { annotations }), type);
  assert.deepEqual([resources[0]?.metadata.annotations, diagnostics], [{ mine: "yes" }, []]);
});

test("what is unknown is said with its place in the object", () => {
  const { diagnostics } = readObject(object({ matchRules: [{ domains: ["a.com"] }] }), type);
  assert.deepEqual(
    diagnostics.map(({ code, at }) => [code, at]),
    [
      [
        "UNKNOWN_FIELD",
        {
          ref: { kind: "WasmPlugin", namespace: "apps", name: "a" },
          path: ["spec", "matchRules", 0, "domains"],
        },
      ],
    ],
  );
});
