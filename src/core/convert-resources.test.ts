// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are templates of WasmPlugins
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { IstioConfig } from "../istio/config.ts";
import { configz } from "../istio/configz.ts";
import { parseDocuments } from "../resource/parse.ts";
import { combineFiles } from "../resource/source-state.ts";
import { keepSpecAsText } from "../resource/spec-text.ts";
import type { ResourceSet } from "../resource/types.ts";
import { defaultConvertOptions as options } from "./convert-options.ts";
import { type Conversion, convertResources } from "./convert-resources.ts";

/** Reads sets as a source does: what did not change keeps its identity. */
function createReader(): (text: string) => ResourceSet {
  let file: ReturnType<typeof parseDocuments> | undefined;
  let state: ReturnType<typeof combineFiles> | undefined;
  return (text) => {
    file = parseDocuments(text, "a.yaml", { previous: file });
    assert.deepEqual(file.diagnostics, []);
    state = combineFiles([file], state);
    return state.set;
  };
}

function wasmPlugin(name: string, spec: object, namespace = "higress-system"): string {
  const apiVersion = "extensions.higress.io/v1alpha1";
  return JSON.stringify({ apiVersion, kind: "WasmPlugin", metadata: { name, namespace }, spec });
}

function secret(name: string, stringData: Readonly<Record<string, string>>): string {
  return JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name }, stringData });
}

function documents(...texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("---\n");
}

/** Converts one text after the other, as core does. */
function convertEach(...texts: readonly string[]): Conversion[] {
  const read = createReader();
  const conversions: Conversion[] = [];
  for (const text of texts) conversions.push(convertResources(read(text), options, conversions.at(-1)));
  return conversions;
}

function findPlugin({ config }: Conversion, name: string): IstioConfig<"WasmPlugin"> | undefined {
  return config.WasmPlugin.find((plugin) => plugin.name === name);
}

const good = wasmPlugin("a", { defaultConfig: { v: 1 } });
const bad = wasmPlugin("a", { defaultConfig: { v: 2 }, matchRules: [{ config: {} }] });

suite("a plugin that cannot be converted", () => {
  test("keeps its last good version, through further errors, until it is good or gone", () => {
    const again = wasmPlugin("a", { defaultConfig: { v: 3 }, matchRules: [{ config: {} }, { config: {} }] });
    const better = wasmPlugin("a", { defaultConfig: { v: 4 } });
    const [first, second, third, fourth, fifth] = convertEach(good, bad, again, better, "");
    assert.equal(findPlugin(second!, "a"), findPlugin(first!, "a"));
    assert.equal(second!.config, first!.config);
    assert.deepEqual(
      second!.plugins.map(({ status }) => status),
      [{ namespace: "higress-system", name: "a", state: "rejected", lastGood: true }],
    );
    assert.equal(findPlugin(third!, "a"), findPlugin(first!, "a"));
    assert.deepEqual(
      third!.diagnostics.map(({ code }) => code),
      ["RULE_NO_MATCH", "RULE_NO_MATCH", "LAST_GOOD_KEPT"],
    );
    assert.deepEqual(findPlugin(fourth!, "a")?.spec.pluginConfig, { v: 4 });
    assert.deepEqual(fifth!.config.WasmPlugin, []);
  });

  test("is absent while it never was good, and touches no other", () => {
    const [conversion] = convertEach(documents(bad, wasmPlugin("b", {})));
    assert.deepEqual(
      conversion!.config.WasmPlugin.map(({ name }) => name),
      ["b"],
    );
    assert.deepEqual(
      conversion!.plugins.map(({ status: { name, state, lastGood } }) => [name, state, lastGood]),
      [
        ["a", "rejected", false],
        ["b", "accepted", false],
      ],
    );
  });
});

test("a plugin in another namespace is ignored, with a warning", () => {
  const [conversion] = convertEach(wasmPlugin("a", {}, "elsewhere"));
  assert.deepEqual(conversion!.config.WasmPlugin, []);
  assert.deepEqual(conversion!.plugins[0]?.status.state, "ignored");
  const [{ severity, code, at } = assert.fail("no diagnostic")] = conversion!.diagnostics;
  assert.deepEqual([severity, code, at.path], ["warning", "NAMESPACE_IGNORED", ["metadata", "namespace"]]);
});

test("a plugin that is disabled goes, and comes back", () => {
  const off = wasmPlugin("a", { defaultConfig: { v: 1 }, defaultConfigDisable: true });
  const [, second, third] = convertEach(good, off, good);
  assert.deepEqual(second!.config.WasmPlugin, []);
  assert.deepEqual(second!.plugins[0]?.status, {
    namespace: "higress-system",
    name: "a",
    state: "disabled",
    lastGood: false,
  });
  assert.deepEqual(second!.diagnostics, []);
  assert.deepEqual(findPlugin(third!, "a")?.spec.pluginConfig, { v: 1 });
});

suite("what did not change keeps its identity", () => {
  test("the whole configuration, where a change has no effect on it", () => {
    const [first, second] = convertEach(documents(good), documents(good, secret("unused", { a: "b" })));
    assert.equal(second!.config, first!.config);
  });

  test("199 of 200 plugins, where one is edited", () => {
    const plugins = Array.from({ length: 200 }, (_, index) =>
      wasmPlugin(`p${index}`, { defaultConfig: { index } }),
    );
    const edited = plugins.with(77, wasmPlugin("p77", { defaultConfig: { index: "other" } }));
    const [first, second] = convertEach(documents(...plugins), documents(...edited));
    const before = new Set(first!.config.WasmPlugin);
    const fresh = second!.config.WasmPlugin.filter((plugin) => !before.has(plugin));
    assert.deepEqual(
      fresh.map(({ name }) => name),
      ["p77"],
    );
    for (const kind of ["Gateway", "ServiceEntry", "VirtualService", "Secret"] as const)
      assert.equal(second!.config[kind], first!.config[kind]);
  });

  test("a plugin that only moved within its file", () => {
    const [first, second] = convertEach(documents(good), documents(secret("unused", { a: "b" }), good));
    assert.equal(second!.config, first!.config);
  });

  test("a plugin whose spec is kept as text", () => {
    const read = createReader();
    const set = read(documents(good));
    const first = convertResources(set, options);
    for (const plugin of set.wasmPlugins) keepSpecAsText(plugin);
    const second = convertResources(read(documents(good, secret("unused", { a: "b" }))), options, first);
    assert.equal(second.config, first.config);
    // Converted again from its text it says the same.
    assert.deepEqual(convertResources(set, { ...options }).config.WasmPlugin, first.config.WasmPlugin);
  });

  test("nothing, where the options are others", () => {
    const set = createReader()(good);
    const first = convertResources(set, options);
    const second = convertResources(set, { ...options, gatewaySelector: { key: "app", value: "x" } }, first);
    assert.deepEqual(second.config.WasmPlugin[0]?.spec.selector?.matchLabels, { app: "x" });
  });
});

test("plugins are in the order of their names, whatever the order in files", () => {
  const [conversion] = convertEach(documents(...["c", "a", "b"].map((name) => wasmPlugin(name, {}))));
  assert.deepEqual(
    conversion!.config.WasmPlugin.map(({ name }) => name),
    ["a", "b", "c"],
  );
});

suite("values of Secrets", () => {
  const using = wasmPlugin("a", { defaultConfig: { token: "${secret.keys.token}" } });
  const other = wasmPlugin("b", { defaultConfig: { token: "${secret.keys2.token}" } });
  const plain = wasmPlugin("c", {});
  const keys = (token: string) => secret("keys", { token });
  const keys2 = secret("keys2", { token: "t-of-b" });

  test("a change converts the plugins that use the Secret, and no others", () => {
    const rest = documents(using, other, plain, keys2);
    const [first, second] = convertEach(documents(rest, keys("t-one")), documents(rest, keys("t-two")));
    assert.deepEqual(findPlugin(second!, "a")?.spec.pluginConfig, { token: "t-two" });
    assert.equal(findPlugin(second!, "b"), findPlugin(first!, "b"));
    assert.equal(findPlugin(second!, "c"), findPlugin(first!, "c"));
    assert.deepEqual(
      second!.plugins.map((plugin, index) => plugin === first!.plugins[index]),
      [false, true, true],
    );
  });

  test("a Secret that goes is an error, and the plugin keeps what it had; one that comes back is used", () => {
    const [first, second, third] = convertEach(
      documents(using, keys("t-one")),
      using,
      documents(using, keys("t-two")),
    );
    assert.deepEqual(
      second!.diagnostics.map(({ severity, code }) => [severity, code]),
      [
        ["error", "SECRET_NOT_FOUND"],
        ["warning", "LAST_GOOD_KEPT"],
      ],
    );
    assert.equal(findPlugin(second!, "a"), findPlugin(first!, "a"));
    assert.deepEqual(findPlugin(third!, "a")?.spec.pluginConfig, { token: "t-two" });
  });

  test("debug pages show the template in their place", () => {
    const [conversion] = convertEach(documents(using, keys("t-one")));
    const { spec, shownSpec } = findPlugin(conversion!, "a")!;
    assert.deepEqual(spec.pluginConfig, { token: "t-one" });
    assert.deepEqual(shownSpec?.pluginConfig, { token: "${secret.keys.token}" });
    assert.ok(!configz(conversion!.config).includes("t-one"));
    assert.ok(configz(conversion!.config).includes("${secret.keys.token}"));
  });

  test("a plugin without templates has no second spec", () => {
    const [conversion] = convertEach(plain);
    assert.equal(findPlugin(conversion!, "c")?.shownSpec, undefined);
  });
});

suite("pull secrets", () => {
  const using = wasmPlugin("a", { imagePullSecret: "elsewhere/registry" });
  const docker = secret("registry", { ".dockerconfigjson": "{}" });

  test("go to discovery, from the plugin's namespace whatever the text says, each once", () => {
    const [conversion] = convertEach(
      documents(using, wasmPlugin("b", { imagePullSecret: "registry" }), docker),
    );
    assert.deepEqual(
      conversion!.config.Secret.map(({ namespace, name }) => [namespace, name]),
      [["higress-system", "registry"]],
    );
    assert.deepEqual(conversion!.diagnostics, []);
  });

  test("a missing one and one of the wrong form are warned of, and the plugin is sent all the same", () => {
    const [missing, wrong] = convertEach(using, documents(using, secret("registry", { user: "u" })));
    for (const [conversion, code] of [
      [missing!, "SECRET_NOT_FOUND"],
      [wrong!, "SECRET_INVALID"],
    ] as const) {
      assert.deepEqual(
        conversion.diagnostics.map((diagnostic) => [diagnostic.severity, diagnostic.code]),
        [["warning", code]],
      );
      assert.equal(conversion.plugins[0]?.status.state, "accepted");
      assert.deepEqual(conversion.config.Secret, []);
    }
  });
});
