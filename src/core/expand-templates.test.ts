// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are templates of WasmPlugins
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatPath } from "../resource/diagnostic.ts";
import { parseDocuments } from "../resource/parse.ts";
import type { JsonObject, Secret, WasmPlugin } from "../resource/types.ts";
import { expandTemplates, type SecretLookup } from "./expand-templates.ts";

function makePlugin(defaultConfig: JsonObject, url = "oci://a/b:1"): WasmPlugin {
  const { resources } = parseDocuments(
    JSON.stringify({
      apiVersion: "extensions.higress.io/v1alpha1",
      kind: "WasmPlugin",
      metadata: { name: "p" },
      spec: { url, defaultConfig },
    }),
    "p.json",
  );
  return resources[0] as WasmPlugin;
}

function makeSecret(id: string, values: Readonly<Record<string, string>>): Secret {
  const [namespace = "", name = ""] = id.split("/");
  const data = Object.entries(values).map(([key, text]) => [key, new Uint8Array(Buffer.from(text))]);
  return { kind: "Secret", metadata: { namespace, name }, type: "Opaque", data: Object.fromEntries(data) };
}

const secrets = [
  makeSecret("higress-system/keys", {
    token: "t1",
    "tls.crt": "certificate",
    quote: 'a"b',
    backslash: "a\\nb",
    newline: "a\nb",
    template: "${secret.keys.token}",
    replacement: "$& $1 $$",
    empty: "",
  }),
  makeSecret("other/keys", { token: "t2" }),
  makeSecret("other/dotted.name", { token: "t3" }),
];

function expand(plugin: WasmPlugin) {
  return expandTemplates(plugin, "higress-system", (namespace, name) =>
    secrets.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  );
}

/** What a text in a configuration becomes. */
function expandText(text: string): unknown {
  const { plugin, diagnostics } = expand(makePlugin({ text }));
  assert.deepEqual(diagnostics, []);
  return plugin.spec.defaultConfig?.text;
}

suite("what a template stands for", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["the system namespace where none is named", "${secret.keys.token}", "t1"],
    ["the namespace that is named", "${secret.other/keys.token}", "t2"],
    ["a key with a dot", "${secret.keys.tls.crt}", "certificate"],
    ["a value with a quote", "${secret.keys.quote}", 'a"b'],
    ["a value with a backslash", "${secret.keys.backslash}", "a\\nb"],
    ["a value with a newline", "${secret.keys.newline}", "a\nb"],
    ["an empty value", "<${secret.keys.empty}>", "<>"],
    ["several in one text", "a-${secret.keys.token}-${secret.other/keys.token}-b", "a-t1-t2-b"],
    ["the same one twice", "${secret.keys.token}${secret.keys.token}", "t1t1"],
    ["a value that looks like a template", "${secret.keys.template}", "${secret.keys.token}"],
    ["a value with the signs of a replacement", "${secret.keys.replacement}", "$& $1 $$"],
  ];
  for (const [name, text, expected] of cases) test(name, () => assert.equal(expandText(text), expected));
});

test("what is no template of a Secret stays", () => {
  for (const text of [
    "${other.x.y}",
    "${secret}",
    "${secret.keys}",
    "${secrets.keys.token}",
    "$secret.keys.token",
    "${HOME}",
  ])
    assert.equal(expandText(text), text);
  assert.equal(expandText("${other.x.y} ${secret.keys.token}"), "${other.x.y} t1");
});

test("templates stand in every string of a spec, keys of configurations included", () => {
  const config = { "${secret.keys.token}": [{ deep: "${secret.keys.token}" }], number: 1, none: null };
  const { plugin } = expand(makePlugin(config, "https://example.com/${secret.keys.token}.wasm"));
  assert.equal(plugin.spec.url, "https://example.com/t1.wasm");
  assert.deepEqual(plugin.spec.defaultConfig, { t1: [{ deep: "t1" }], number: 1, none: null });
});

test("a plugin without templates is the same object, and no Secret is asked for", () => {
  const plugin = makePlugin({ a: "${other.x.y}" });
  const { plugin: expanded } = expandTemplates(plugin, "higress-system", () =>
    assert.fail("asked for a Secret"),
  );
  assert.equal(expanded, plugin);
});

test("each template without a value is an error at its place, and names no value", () => {
  const { diagnostics } = expand(
    makePlugin({
      a: "${secret.nowhere.token}",
      list: ["fine ${secret.keys.token}", "${secret.keys.nothing}"],
      inherited: "${secret.keys.constructor}",
    }),
  );
  assert.deepEqual(
    diagnostics.map(({ severity, code, message, at }) => [
      severity,
      code,
      message,
      formatPath(at.path ?? []),
    ]),
    [
      ["error", "SECRET_NOT_FOUND", "${secret.nowhere.token}: no such Secret", "spec.defaultConfig.a"],
      ["error", "SECRET_NOT_FOUND", '${secret.keys.nothing}: no key "nothing"', "spec.defaultConfig.list[1]"],
      [
        "error",
        "SECRET_NOT_FOUND",
        '${secret.keys.constructor}: no key "constructor"',
        "spec.defaultConfig.inherited",
      ],
    ],
  );
});

test("a Secret that core may not read is said to be that", () => {
  const why = "cannot list /api/v1/namespaces/apps/secrets: forbidden (missing: a Role in namespace apps)";
  const unreadable: SecretLookup = (namespace, name) => {
    return { kind: "Secret", metadata: { namespace, name }, type: "", data: {}, unreadable: why };
  };
  const { diagnostics } = expandTemplates(
    makePlugin({ a: "${secret.apps/keys.token}" }),
    "higress-system",
    unreadable,
  );
  assert.deepEqual(
    diagnostics.map(({ code, message }) => [code, message]),
    [["SECRET_UNREADABLE", ["${secret.apps/keys.token}", why].join(": ")]],
  );
});
