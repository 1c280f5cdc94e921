import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import {
  EnvValueSource,
  PluginPhase,
  PullPolicy,
  WasmPluginSchema,
} from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { GatewaySchema, ServerTLSSettings_TLSmode } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import {
  ServiceEntry_Location,
  ServiceEntry_Resolution,
  ServiceEntrySchema,
} from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import { compareCodePoints, indentJson, specJson, structJson } from "./json.ts";

// Text of any kind: plain, from all planes, with halves of surrogate pairs, and what Go escapes.
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom(
      "<",
      "&",
      ">",
      "\u2028",
      "\u2029",
      '"',
      "\\",
      "\n",
      "\t",
      "\u0001",
      "\u007f",
      "\ud83d",
      "\ude00",
      "é",
    ),
  }),
);
const keys = fc.oneof(
  text,
  fc.constantFrom("0", "1", "10", "2", "-0", "01", "__proto__", "\uffff", "\u{10000}", "\ue000"),
);
const numbers = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.constantFrom(
    -0,
    1e21,
    999999999999999900000,
    1e-6,
    1e-7,
    2 ** 53,
    1.5e300,
    5e-324,
    123456789.125,
    -1e21,
  ),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    text,
    numbers,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(keys, tie("value"), { maxKeys: 5 }),
  ),
}));

/** encoding/json and jsonpb, written from their rules and not from ours. */
function goJson(value: unknown): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return goString(value);
  if (typeof value === "number") return goNumber(value);
  if (Array.isArray(value)) return `[${value.map(goJson).join(",")}]`;
  const entries = new Map<string, unknown>();
  for (const [key, item] of Object.entries(value as object)) entries.set(Buffer.from(key).toString(), item);
  const sorted = [...entries].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${sorted.map(([key, item]) => `${goString(key)}:${goJson(item)}`).join(",")}}`;
}

function goString(text: string): string {
  const short = new Map([
    ['"', '\\"'],
    ["\\", "\\\\"],
    ["\b", "\\b"],
    ["\f", "\\f"],
    ["\n", "\\n"],
    ["\r", "\\r"],
    ["\t", "\\t"],
  ]);
  const characters = [...Buffer.from(text).toString()].map((character) => {
    const code = character.codePointAt(0)!;
    if (code >= 0x20 && !'<>&"\\\u2028\u2029'.includes(character)) return character;
    return short.get(character) ?? `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return `"${characters.join("")}"`;
}

/** The shortest digits that give the number back; with an exponent below 1e-6 and from 1e21. */
function goNumber(value: number): string {
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const sign = value < 0 ? "-" : "";
  const [mantissa = "", exponentText = ""] = Math.abs(value).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  const exponent = Number(exponentText);
  if (exponent < -6 || exponent >= 21)
    return `${sign}${mantissa}e${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const fraction = digits.slice(exponent + 1);
  return `${sign}${whole}${fraction && `.${fraction}`}`;
}

suite("structJson", () => {
  test("is what Go writes", () => {
    fc.assert(
      fc.property(value, (value) => assert.equal(structJson(value), goJson(value))),
      { numRuns: fuzzRuns(1000) },
    );
  });

  test("sorts keys by the bytes of UTF-8, integer-like ones too", () => {
    const object = { b: 1, "10": 2, "2": 3, a: 4, "\u{1f600}": 5, "\uffee": 6, "": 7 };
    assert.equal(structJson(object), '{"":7,"10":2,"2":3,"a":4,"b":1,"\uffee":6,"\u{1f600}":5}');
  });

  test("writes numbers as Go does", () => {
    const list = [-0, 0, 1e21, 1e20, 1e-7, 0.000001, 2 ** 53, 12.5, -3];
    assert.equal(
      structJson(list),
      "[-0,0,1e+21,100000000000000000000,1e-7,0.000001,9007199254740992,12.5,-3]",
    );
  });

  test("escapes as Go does", () => {
    assert.equal(
      structJson('<a href="x">&\u2028\u2029\ud800é/'),
      '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\u2029\ufffdé/"',
    );
  });
});

suite("compareCodePoints", () => {
  const sign = (number: number) => Math.sign(number);

  test("is the order of UTF-8's bytes", () => {
    const wellFormed = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("a", "\uffff", "\ue000", "\u{10000}", "\u{10001}", "\u{1f600}") }),
    );
    fc.assert(
      fc.property(wellFormed, wellFormed, (a, b) =>
        assert.equal(sign(compareCodePoints(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b))),
      ),
      { numRuns: fuzzRuns(1000) },
    );
  });

  test("differs from JavaScript's order where planes meet", () => {
    assert.ok("\u{10000}" < "\uffff");
    assert.ok(compareCodePoints("\u{10000}", "\uffff") > 0);
    assert.ok(compareCodePoints("\u{10000}", "\u{10001}") < 0);
  });
});

suite("specJson", () => {
  test("of a WasmPlugin: fields in the order of their declaration, defaults left out", () => {
    const plugin = create(WasmPluginSchema, {
      vmConfig: {
        env: [
          { name: "A", value: "1" },
          { name: "B", valueFrom: EnvValueSource.HOST },
        ],
      },
      priority: 0,
      phase: PluginPhase.AUTHN,
      pluginConfig: { z: 1, a: { $typeName: "mine" } },
      imagePullPolicy: PullPolicy.Always,
      url: "oci://a/b:1",
      selector: { matchLabels: { z: "1", a: "2" } },
    });
    assert.equal(
      specJson(WasmPluginSchema, plugin),
      '{"selector":{"matchLabels":{"a":"2","z":"1"}},"url":"oci://a/b:1","imagePullPolicy":"Always",' +
        '"pluginConfig":{"a":{"$typeName":"mine"},"z":1},"phase":"AUTHN","priority":0,' +
        '"vmConfig":{"env":[{"name":"A","value":"1"},{"name":"B","valueFrom":"HOST"}]}}',
    );
  });

  test("of a WasmPlugin without anything, and with empty values that say something", () => {
    assert.equal(specJson(WasmPluginSchema, create(WasmPluginSchema)), "{}");
    const plugin = create(WasmPluginSchema, {
      pluginConfig: {},
      vmConfig: {},
      priority: -1,
      phase: 77 as PluginPhase,
    });
    assert.equal(
      specJson(WasmPluginSchema, plugin),
      '{"pluginConfig":{},"phase":77,"priority":-1,"vmConfig":{}}',
    );
  });

  test("of a configuration whose keys look like a message's", () => {
    for (const $typeName of ["mine", "google.protobuf.Struct"]) {
      const plugin = { ...create(WasmPluginSchema), pluginConfig: { $typeName, fields: {} } };
      assert.equal(
        specJson(WasmPluginSchema, plugin),
        `{"pluginConfig":{"$typeName":"${$typeName}","fields":{}}}`,
      );
    }
  });

  test("of a Gateway", () => {
    const gateway = create(GatewaySchema, {
      selector: { higress: "gateway" },
      servers: [
        {
          hosts: ["*"],
          port: { number: 443, protocol: "HTTPS", name: "https" },
          tls: { mode: ServerTLSSettings_TLSmode.SIMPLE, credentialName: "kubernetes-ingress://c/ns/name" },
        },
        { hosts: ["a"], tls: { httpsRedirect: true } },
      ],
    });
    assert.equal(
      specJson(GatewaySchema, gateway),
      '{"servers":[{"port":{"number":443,"protocol":"HTTPS","name":"https"},"hosts":["*"],' +
        '"tls":{"mode":"SIMPLE","credentialName":"kubernetes-ingress://c/ns/name"}},' +
        '{"hosts":["a"],"tls":{"httpsRedirect":true}}],"selector":{"higress":"gateway"}}',
    );
  });

  test("of a ServiceEntry", () => {
    const entry = create(ServiceEntrySchema, {
      hosts: ["a.ns.svc.cluster.local"],
      ports: [{ number: 80, protocol: "HTTP", name: "http" }],
      location: ServiceEntry_Location.MESH_INTERNAL,
      resolution: ServiceEntry_Resolution.STATIC,
      endpoints: [{ address: "10.0.0.1", ports: { http: 8080, admin: 9 } }],
    });
    assert.equal(
      specJson(ServiceEntrySchema, entry),
      '{"hosts":["a.ns.svc.cluster.local"],"ports":[{"number":80,"protocol":"HTTP","name":"http"}],' +
        '"location":"MESH_INTERNAL","resolution":"STATIC","endpoints":[{"address":"10.0.0.1","ports":{"admin":9,"http":8080}}]}',
    );
  });

  test("of a VirtualService: one of several fields, maps of messages, bytes", () => {
    const service = create(VirtualServiceSchema, {
      hosts: ["a.com"],
      http: [
        {
          timeout: { seconds: 1n, nanos: 500_000_000 },
          name: "ns/a",
          match: [
            {
              uri: { matchType: { case: "prefix", value: "" } },
              headers: { b: {}, a: { matchType: { case: "exact", value: "1" } } },
            },
          ],
          route: [{ destination: { host: "h", port: { number: 80 } }, weight: 100 }],
        },
        {
          directResponse: {
            status: 200,
            body: { specifier: { case: "bytes", value: new Uint8Array([255, 254]) } },
          },
        },
      ],
    });
    assert.equal(
      specJson(VirtualServiceSchema, service),
      '{"hosts":["a.com"],"http":[{"name":"ns/a","match":[{"uri":{"prefix":""},"headers":{"a":{"exact":"1"},"b":{}}}],' +
        '"route":[{"destination":{"host":"h","port":{"number":80}},"weight":100}],"timeout":"1.500s"},' +
        '{"directResponse":{"status":200,"body":{"bytes":"//4="}}}]}',
    );
  });

  test("of a Secret", () => {
    const secret = create(SecretSchema, {
      type: "Opaque",
      data: { b: new Uint8Array([1]), a: new Uint8Array() },
    });
    assert.equal(specJson(SecretSchema, secret), '{"data":{"a":"","b":"AQ=="},"type":"Opaque"}');
  });

  test("of durations: 0, 3, 6 or 9 digits", () => {
    const cases: readonly (readonly [bigint, number, string])[] = [
      [0n, 0, "0s"],
      [30n, 0, "30s"],
      [0n, 100_000_000, "0.100s"],
      [1n, 50_000, "1.000050s"],
      [1n, 1, "1.000000001s"],
      [-1n, -500_000_000, "-1.500s"],
      [0n, -500_000_000, "-0.500s"],
    ];
    for (const [seconds, nanos, expected] of cases)
      assert.equal(specJson(DurationSchema, create(DurationSchema, { seconds, nanos })), `"${expected}"`);
  });
});

suite("indentJson", () => {
  test("is JSON.stringify's indentation, for any value", () => {
    fc.assert(
      fc.property(value, (value) => {
        const compact = JSON.stringify(value);
        assert.equal(indentJson(compact, "    "), JSON.stringify(JSON.parse(compact), null, 4));
      }),
    );
  });
});
