import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { specJson, structJson } from "../istio/json.ts";
import { formatDiagnostic } from "../resource/diagnostic.ts";
import { parseDocuments } from "../resource/parse.ts";
import type { JsonObject, JsonValue, WasmPlugin } from "../resource/types.ts";
import { defaultConvertOptions } from "./convert-options.ts";
import { convertWasmPlugin } from "./convert-wasm-plugin.ts";

interface Vector {
  readonly name: string;
  readonly input: JsonObject & { readonly matchRules?: readonly JsonObject[] };
  readonly outcome: "ok" | "disabled" | "error";
  readonly expected?: { readonly pluginConfig?: JsonObject };
  readonly expectedPluginConfigString?: string;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL("../../test/vectors/conversion.json", import.meta.url), "utf8"),
);

function documentOf(spec: JsonValue) {
  const metadata = { name: "p", namespace: "higress-system" };
  return { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
}

/** JSON is YAML, but for the characters that JSON may hold as they are. */
function readPlugin(spec: JsonValue): WasmPlugin {
  const { resources, diagnostics } = parseDocuments(JSON.stringify(documentOf(spec)), "p.json");
  assert.deepEqual(diagnostics.filter(({ severity }) => severity === "error").map(formatDiagnostic), []);
  const [plugin] = resources;
  assert.equal(plugin?.kind, "WasmPlugin");
  return plugin as WasmPlugin;
}

function convert(plugin: WasmPlugin) {
  return convertWasmPlugin(plugin, defaultConvertOptions);
}

/** The rules of an input that reach `_rules_`, in order. */
function enabledRules({ pluginConfig, matchRules = [] }: Vector["input"]): readonly JsonObject[] {
  return pluginConfig === undefined ? matchRules.filter(({ configDisable }) => !configDisable) : [];
}

/** What the reference gave, but with the names of GRPC routes, which it loses. */
function withGrpcNames(config: JsonObject, input: Vector["input"]): JsonObject {
  const rules = enabledRules(input);
  if (rules.length === 0) return config;
  const converted = (config._rules_ as readonly JsonObject[]).map((rule, index) => {
    const { ingress = [], routeType } = rules[index] as { ingress?: readonly string[]; routeType?: string };
    if (routeType !== "GRPC" || ingress.length === 0) return rule;
    return { ...rule, _match_route_: ingress.map((name) => `GRPC/${name}`) };
  });
  return { ...config, _rules_: converted };
}

suite("conversion as the reference does it", () => {
  for (const vector of vectors) {
    test(vector.name, () => {
      const { config, diagnostics } = convert(readPlugin(vector.input));
      assert.equal(diagnostics.length > 0, vector.outcome === "error");
      assert.equal(config !== undefined, vector.outcome === "ok");
      if (!config) return;
      const { pluginConfig, ...expected } = vector.expected!;
      const grpc = enabledRules(vector.input).some(({ routeType }) => routeType === "GRPC");
      const expectedConfig = pluginConfig && withGrpcNames(pluginConfig, vector.input);
      assert.deepEqual(JSON.parse(specJson(WasmPluginSchema, config.spec)), {
        ...expected,
        ...(expectedConfig && { pluginConfig: expectedConfig }),
      });
      const text = grpc && expectedConfig ? structJson(expectedConfig) : vector.expectedPluginConfigString;
      const found = config.spec.pluginConfig;
      assert.equal(found && structJson(found), text);
    });
  }
});

test("every rule without a match is named, and those that are disabled are not", () => {
  const bad = { config: { a: 1 } };
  const { config, diagnostics } = convert(
    readPlugin({ matchRules: [bad, { domain: ["foo.com"] }, { ...bad, configDisable: true }, bad] }),
  );
  assert.equal(config, undefined);
  assert.deepEqual(
    diagnostics.map(({ code, at }) => [code, at.path]),
    [
      ["RULE_NO_MATCH", ["spec", "matchRules", 0]],
      ["RULE_NO_MATCH", ["spec", "matchRules", 3]],
    ],
  );
});

test("the gateways' label and the namespace come from the options and the resource", () => {
  const options = { ...defaultConvertOptions, gatewaySelector: { key: "app", value: "edge" } };
  const { config } = convertWasmPlugin(readPlugin({ url: "oci://a/b:1" }), options);
  assert.deepEqual(config?.spec.selector?.matchLabels, { app: "edge" });
  assert.deepEqual([config?.kind, config?.namespace, config?.name], ["WasmPlugin", "higress-system", "p"]);
});

const reservedKeys = [
  "_rules_",
  "_match_route_",
  "_match_domain_",
  "_match_service_",
  "_match_route_prefix_",
];
const key = fc.oneof(
  fc.string(),
  fc.constantFrom(...reservedKeys, "__proto__", "$typeName", "constructor", "0"),
);
const { json } = fc.letrec<{ json: JsonValue; object: JsonObject }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("json"), { maxLength: 3 }),
    tie("object"),
  ),
  object: fc.dictionary(key, tie("json"), { maxKeys: 4 }),
}));
const object = fc.dictionary(key, json, { maxKeys: 4 });
const names = fc.array(fc.string(), { maxLength: 3 });
const rule = fc.record(
  {
    ingress: names,
    domain: names,
    service: names,
    config: object,
    configDisable: fc.boolean(),
    routeType: fc.integer({ min: 0, max: 2 }),
  },
  { requiredKeys: ["ingress", "domain", "service", "routeType"] },
);
const plugin: fc.Arbitrary<WasmPlugin> = fc
  .record(
    {
      url: fc.string(),
      sha256: fc.string(),
      imagePullPolicy: fc.integer({ min: 0, max: 3 }),
      imagePullSecret: fc.string(),
      verificationKey: fc.string(),
      pluginConfig: object,
      pluginName: fc.string(),
      phase: fc.integer({ min: 0, max: 4 }),
      priority: fc.integer(),
      vmConfig: fc.record({
        env: fc.array(fc.record({ name: fc.string(), value: fc.string(), valueFrom: fc.nat({ max: 2 }) })),
      }),
      failStrategy: fc.integer({ min: 0, max: 2 }),
      defaultConfig: object,
      matchRules: fc.array(rule, { maxLength: 4 }),
      defaultConfigDisable: fc.boolean(),
    },
    {
      requiredKeys: [
        "url",
        "sha256",
        "imagePullPolicy",
        "imagePullSecret",
        "verificationKey",
        "pluginName",
        "phase",
        "failStrategy",
        "matchRules",
      ],
    },
  )
  .map((spec) => ({ kind: "WasmPlugin", metadata: { namespace: "higress-system", name: "p" }, spec }));

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

test("whatever is written, conversion throws nothing, leaves its input as it is and says why there is no result", () => {
  fc.assert(
    fc.property(plugin, (written) => {
      const before = JSON.stringify(written);
      const { config, diagnostics } = convert(deepFreeze(written));
      assert.equal(JSON.stringify(written), before);
      const { pluginConfig, matchRules, defaultConfigDisable } = written.spec;
      const rules = matchRules.filter(({ configDisable }) => !configDisable);
      const disabled = pluginConfig === undefined && defaultConfigDisable === true && rules.length === 0;
      assert.equal(config === undefined, disabled || diagnostics.length > 0);
      // What was accepted can be printed, and is the same when it is converted again.
      if (config)
        assert.equal(
          specJson(WasmPluginSchema, config.spec),
          specJson(WasmPluginSchema, convert(written).config!.spec),
        );
    }),
  );
});
