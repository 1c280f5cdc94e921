import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDocuments } from "../../resource/parse.ts";
import { combineFiles } from "../../resource/source-state.ts";
import { keepSpecAsText } from "../../resource/spec-text.ts";
import { type DevModule, developResources, isNamed } from "./dev-resources.ts";

const module: DevModule = {
  directory: "/plugins/greeter",
  repository: "greeter",
  spec: { phase: "AUTHN", priority: 7, defaultConfig: { greeting: "hello" } },
  url: "file:///data/greeter-1.wasm",
};
const options = { namespace: "higress-system", upstream: { address: "127.0.0.1", port: 3000 } };

const wasmPlugin = (name: string, url: string) => `
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: ${name}, namespace: higress-system}
spec: {url: "${url}", sha256: abcd, imagePullSecret: mine, defaultConfig: {greeting: written}}
---`;
const ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: mine, namespace: default}
spec: {rules: [{host: a.com}]}`;

const stateOf = (text: string) => combineFiles([parseDocuments(text, "a.yaml")]);

test("which urls name a plugin of a folder", () => {
  const named = [
    "oci://registry.example.com/x/greeter:0.1.0",
    "greeter",
    "r.io/greeter@sha256:ab",
    "file:///plugins/greeter/build/plugin.wasm",
  ];
  const others = [
    "oci://r.io/other-greeter:1",
    "file:///plugins/greeter2/plugin.wasm",
    "https://a.com/greeter",
    "file://broken/x",
    "",
  ];
  for (const url of named) assert.ok(isNamed(module, url), url);
  for (const url of others) assert.ok(!isNamed(module, url), url);
});

test("a module takes the place of the one that is named; what is unchanged keeps its identity", () => {
  const state = stateOf(
    wasmPlugin("mine", "oci://r.io/greeter:1") + wasmPlugin("other", "oci://r.io/other:1") + ingress,
  );
  const { set } = developResources(state, [module], options);
  const [mine, other] = set.wasmPlugins;
  assert.deepEqual(
    [mine!.spec.url, mine!.spec.sha256, mine!.spec.imagePullSecret, mine!.spec.defaultConfig],
    [module.url, "", "", { greeting: "written" }],
  );
  assert.equal(other, state.set.wasmPlugins[1]);
  assert.equal(set.ingresses, state.set.ingresses);
  // Core gives specs up, and reads them from their text again.
  keepSpecAsText(mine!);
  assert.equal(mine!.spec.url, module.url);
  assert.equal(developResources(state, [module], options).set.wasmPlugins[0], mine);
  const next = developResources(state, [{ ...module, url: "file:///data/greeter-2.wasm" }], options);
  assert.equal(next.set.wasmPlugins[0]!.spec.url, "file:///data/greeter-2.wasm");
});

test("what nobody wrote is made: a WasmPlugin, and a way to the upstream", () => {
  const { set } = developResources(stateOf(""), [module], options);
  const [made] = set.wasmPlugins;
  assert.deepEqual([made!.metadata.name, made!.spec.phase, made!.spec.priority], ["greeter", 1, 7]);
  assert.deepEqual(made!.spec.defaultConfig, { greeting: "hello" });
  assert.equal(
    set.ingresses[0]!.spec.rules![0]!.http!.paths[0]!.backend.service!.name,
    set.services[0]!.metadata.name,
  );
  assert.deepEqual(set.endpointSlices[0]!.ports, [{ name: "http", port: 3000 }]);
});

test("a plugin that was never built is left out, named or not", () => {
  const unbuilt = { ...module, url: undefined };
  const state = stateOf(wasmPlugin("mine", "oci://r.io/greeter:1"));
  assert.deepEqual(developResources(state, [unbuilt], options).set.wasmPlugins, []);
  assert.deepEqual(developResources(stateOf(""), [unbuilt], options).set.wasmPlugins, []);
});
