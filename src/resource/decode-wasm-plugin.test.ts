import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeResource } from "./decode.ts";
import { formatPath } from "./diagnostic.ts";
import type { WasmPluginSpec } from "./types.ts";

function decode(spec: unknown) {
  const value = {
    apiVersion: "extensions.higress.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name: "p" },
    spec,
  };
  const { resource, problems } = decodeResource(value, { defaultNamespace: "higress-system" });
  return { spec: resource?.kind === "WasmPlugin" ? resource.spec : undefined, problems };
}

const empty: WasmPluginSpec = {
  url: "",
  sha256: "",
  imagePullPolicy: 0,
  imagePullSecret: "",
  verificationKey: "",
  pluginName: "",
  phase: 0,
  failStrategy: 0,
  matchRules: [],
};

test("a spec that is empty, null or absent has the defaults and no problems", () => {
  for (const spec of [{}, null, undefined]) assert.deepEqual(decode(spec), { spec: empty, problems: [] });
});

test("every field is decoded", () => {
  const { spec, problems } = decode({
    url: "oci://example.com/p:1",
    sha256: "ab",
    imagePullPolicy: "Always",
    imagePullSecret: "s",
    verificationKey: "k",
    pluginConfig: { a: [1, null, { b: true }] },
    pluginName: "root",
    phase: "AUTHZ",
    priority: -5,
    vmConfig: {
      env: [
        { name: "A", value: "1" },
        { name: "B", valueFrom: "HOST" },
      ],
    },
    failStrategy: "FAIL_OPEN",
    defaultConfig: {},
    matchRules: [
      {
        ingress: ["i"],
        domain: ["d"],
        service: ["s"],
        config: { c: 1 },
        configDisable: false,
        routeType: "GRPC",
      },
    ],
    defaultConfigDisable: true,
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(spec, {
    url: "oci://example.com/p:1",
    sha256: "ab",
    imagePullPolicy: 2,
    imagePullSecret: "s",
    verificationKey: "k",
    pluginConfig: { a: [1, null, { b: true }] },
    pluginName: "root",
    phase: 2,
    priority: -5,
    vmConfig: {
      env: [
        { name: "A", value: "1", valueFrom: 0 },
        { name: "B", value: "", valueFrom: 1 },
      ],
    },
    failStrategy: 1,
    defaultConfig: {},
    matchRules: [
      { ingress: ["i"], domain: ["d"], service: ["s"], config: { c: 1 }, configDisable: false, routeType: 1 },
    ],
    defaultConfigDisable: true,
  });
});

const rule = { ingress: [], domain: [], service: [], routeType: 0 };

// What golang/protobuf's jsonpb answered to the same values.
const lenient: readonly (readonly [name: string, spec: object, expected: Partial<WasmPluginSpec>])[] = [
  [
    "snake_case names",
    { image_pull_policy: 1, default_config: { a: 1 } },
    { imagePullPolicy: 1, defaultConfig: { a: 1 } },
  ],
  ["camelCase wins", { plugin_name: "a", pluginName: "b" }, { pluginName: "b" }],
  ["camelCase wins, null too", { pluginName: null, plugin_name: "a" }, {}],
  ["enums by number", { phase: 3, failStrategy: 1 }, { phase: 3, failStrategy: 1 }],
  ["unknown enum numbers", { phase: 77, imagePullPolicy: -1 }, { phase: 77, imagePullPolicy: -1 }],
  [
    "null is unset",
    { url: null, phase: null, priority: null, vmConfig: null, matchRules: null, pluginConfig: null },
    {},
  ],
  ["a quoted number", { priority: "12" }, { priority: 12 }],
  ["a quoted number among blanks", { priority: " -7 " }, { priority: -7 }],
  ["a quoted null", { priority: "null" }, { priority: 0 }],
  [
    "the bounds of int32",
    { priority: -2147483648, phase: 2147483647 },
    { priority: -2147483648, phase: 2147483647 },
  ],
  [
    "null in a list of strings",
    { matchRules: [{ domain: [null, "a"] }] },
    { matchRules: [{ ...rule, domain: ["", "a"] }] },
  ],
  ["null in a list of messages", { matchRules: [null] }, { matchRules: [rule] }],
  ["an empty message", { vmConfig: {} }, { vmConfig: { env: [] } }],
  [
    "null in env",
    { vmConfig: { env: [null] } },
    { vmConfig: { env: [{ name: "", value: "", valueFrom: 0 }] } },
  ],
  [
    "route_type",
    { match_rules: [{ route_type: 1, config_disable: true }] },
    { matchRules: [{ ...rule, routeType: 1, configDisable: true }] },
  ],
];

for (const [name, spec, expected] of lenient)
  test(`accepted: ${name}`, () => {
    assert.deepEqual(decode(spec), { spec: { ...empty, ...expected }, problems: [] });
  });

const refused: readonly (readonly [spec: unknown, path: string, expected: RegExp])[] = [
  [[], "spec", /expected an object, found a list/],
  ["x", "spec", /expected an object, found the string "x"/],
  [{ url: 5 }, "spec.url", /expected a string, found the number 5/],
  [{ url: true }, "spec.url", /expected a string, found true/],
  [{ sha256: [] }, "spec.sha256", /found a list/],
  [
    { phase: "authn" },
    "spec.phase",
    /expected one of UNSPECIFIED_PHASE, AUTHN, AUTHZ, STATS, found the string "authn"/,
  ],
  [{ phase: "1" }, "spec.phase", /found the string "1"/],
  [{ phase: 1.5 }, "spec.phase", /found the number 1\.5/],
  [{ phase: true }, "spec.phase", /found true/],
  [{ failStrategy: "FAIL_RELOAD" }, "spec.failStrategy", /expected one of FAIL_CLOSE, FAIL_OPEN/],
  [{ failStrategy: "toString" }, "spec.failStrategy", /found the string "toString"/],
  [
    { priority: 1.5 },
    "spec.priority",
    /expected a whole number from -2147483648 to 2147483647, found the number 1\.5/,
  ],
  [{ priority: 2147483648 }, "spec.priority", /2147483648/],
  [{ priority: "2147483648" }, "spec.priority", /found the string "2147483648"/],
  [{ priority: "" }, "spec.priority", /found the string ""/],
  [{ priority: "1e2" }, "spec.priority", /"1e2"/],
  [{ priority: "01" }, "spec.priority", /"01"/],
  [{ priority: "+1" }, "spec.priority", /"\+1"/],
  [{ priority: Number.NaN }, "spec.priority", /NaN/],
  [
    { defaultConfigDisable: "true" },
    "spec.defaultConfigDisable",
    /expected true or false, found the string "true"/,
  ],
  [{ defaultConfigDisable: 0 }, "spec.defaultConfigDisable", /found the number 0/],
  [{ pluginConfig: [] }, "spec.pluginConfig", /expected an object, found a list/],
  [{ defaultConfig: "a" }, "spec.defaultConfig", /expected an object/],
  [{ defaultConfig: { a: [1, { b: Number.NaN }] } }, "spec.defaultConfig.a[1].b", /a number that JSON has/],
  [{ matchRules: {} }, "spec.matchRules", /expected a list, found an object/],
  [{ matchRules: ["a"] }, "spec.matchRules[0]", /expected an object, found the string "a"/],
  [
    { matchRules: [{}, { domain: "a.com" }] },
    "spec.matchRules[1].domain",
    /expected a list, found the string "a.com"/,
  ],
  [
    { matchRules: [{ domain: ["a", 1] }] },
    "spec.matchRules[0].domain[1]",
    /expected a string, found the number 1/,
  ],
  [{ matchRules: [{ config: 3 }] }, "spec.matchRules[0].config", /expected an object/],
  [{ vmConfig: { env: {} } }, "spec.vmConfig.env", /expected a list/],
  [{ vmConfig: { env: [{ valueFrom: "host" }] } }, "spec.vmConfig.env[0].valueFrom", /INLINE, HOST/],
];

for (const [spec, path, expected] of refused)
  test(`refused: ${JSON.stringify(spec)}`, () => {
    const { spec: decoded, problems } = decode(spec);
    assert.equal(decoded, undefined);
    assert.equal(problems.length, 1);
    assert.equal(problems[0]!.severity, "error");
    assert.equal(problems[0]!.code, "INVALID_VALUE");
    assert.equal(formatPath(problems[0]!.path), path);
    assert.match(problems[0]!.message, expected);
  });

test("all errors are reported, not only the first", () => {
  const { problems } = decode({ url: 1, phase: "x", matchRules: [{ domain: [1, 2] }, 7] });
  assert.deepEqual(
    problems.map(({ path }) => formatPath(path)),
    [
      "spec.url",
      "spec.phase",
      "spec.matchRules[0].domain[0]",
      "spec.matchRules[0].domain[1]",
      "spec.matchRules[1]",
    ],
  );
});

test("unknown fields are ignored with a warning, and the nearest known one is suggested", () => {
  const { spec, problems } = decode({
    phse: "AUTHN",
    matchRules: [{ domian: ["a"], zzz: 1 }],
    defaultconfig: {},
  });
  assert.deepEqual(spec, { ...empty, matchRules: [rule] });
  assert.deepEqual(
    problems.map(({ severity, code, path, hint }) => [severity, code, formatPath(path), hint]),
    [
      ["warning", "UNKNOWN_FIELD", "spec.phse", 'did you mean "phase"?'],
      ["warning", "UNKNOWN_FIELD", "spec.matchRules[0].domian", 'did you mean "domain"?'],
      ["warning", "UNKNOWN_FIELD", "spec.matchRules[0].zzz", undefined],
      ["warning", "UNKNOWN_FIELD", "spec.defaultconfig", 'did you mean "defaultConfig"?'],
    ],
  );
});

test("fields of Istio's WasmPlugin are explained", () => {
  const [problem] = decode({ selector: {} }).problems;
  assert.match(problem?.hint ?? "", /only Istio's WasmPlugin/);
});
