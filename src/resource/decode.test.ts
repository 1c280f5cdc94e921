import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { decodeResource } from "./decode.ts";
import { formatPath } from "./diagnostic.ts";

const decode = (value: unknown) => decodeResource(value, { defaultNamespace: "higress-system" });
const problemsOf = (value: unknown) =>
  decode(value).problems.map(({ code, path }) => `${code} ${formatPath(path)}`.trim());

test("metadata: the namespace defaults, labels and annotations are kept", () => {
  const value = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "c", labels: { a: "b" }, annotations: { "x/y": null } },
  };
  assert.deepEqual(decode(value).resource, {
    kind: "ConfigMap",
    metadata: { name: "c", namespace: "higress-system", labels: { a: "b" }, annotations: { "x/y": "" } },
    data: {},
  });
  const other = { ...value, metadata: { name: "c", namespace: "ns" } };
  assert.deepEqual(decode(other).resource?.metadata, { name: "c", namespace: "ns" });
});

test("metadata: what is wrong is reported", () => {
  const configMap = (metadata: unknown) => ({ apiVersion: "v1", kind: "ConfigMap", metadata });
  assert.deepEqual(problemsOf(configMap(undefined)), ["MISSING_FIELD metadata.name"]);
  assert.deepEqual(problemsOf(configMap({ name: "" })), ["MISSING_FIELD metadata.name"]);
  assert.deepEqual(problemsOf(configMap({ name: 5 })), ["INVALID_VALUE metadata.name"]);
  assert.deepEqual(problemsOf(configMap({ name: "a/b" })), ["INVALID_VALUE metadata.name"]);
  assert.deepEqual(problemsOf(configMap({ name: "a", namespace: "b c" })), [
    "INVALID_VALUE metadata.namespace",
  ]);
  assert.deepEqual(problemsOf(configMap([])), ["INVALID_VALUE metadata"]);
  assert.deepEqual(problemsOf(configMap({ name: "a", labels: { "b.c": 1 } })), [
    'INVALID_VALUE metadata.labels["b.c"]',
  ]);
  assert.deepEqual(problemsOf(configMap({ name: "a", label: {}, uid: "1" })), [
    "UNKNOWN_FIELD metadata.label",
  ]);
});

test("what is no resource is an error, another kind is a warning", () => {
  assert.deepEqual(problemsOf([]), ["INVALID_VALUE"]);
  assert.deepEqual(problemsOf({ cases: [] }), ["MISSING_FIELD kind"]);
  assert.deepEqual(problemsOf({ kind: 5 }), ["INVALID_VALUE kind"]);
  assert.deepEqual(problemsOf({ kind: "Ingress", metadata: {} }), ["MISSING_FIELD apiVersion"]);
  const deployment = decode({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" }, spec: 5 });
  assert.equal(deployment.resource, undefined);
  assert.deepEqual(deployment.problems, [
    {
      severity: "warning",
      code: "KIND_IGNORED",
      message: "apps/v1 Deployment is not read",
      path: [],
      hint: undefined,
    },
  ]);
});

test("another apiVersion of a known kind is ignored with a hint", () => {
  const [istio] = decode({ apiVersion: "extensions.istio.io/v1alpha1", kind: "WasmPlugin" }).problems;
  assert.equal(istio?.code, "KIND_IGNORED");
  assert.match(istio?.hint ?? "", /Istio's WasmPlugin; .*apiVersion: extensions\.higress\.io\/v1alpha1/);
  const [old] = decode({ apiVersion: "extensions/v1beta1", kind: "Ingress" }).problems;
  assert.equal(old?.hint, "write apiVersion: networking.k8s.io/v1");
});

test("Ingress", () => {
  const ingress = (spec: unknown) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: "i" },
    spec,
  });
  const spec = {
    ingressClassName: "higress",
    defaultBackend: { resource: { apiGroup: "networking.higress.io", kind: "McpBridge", name: "default" } },
    tls: [{ hosts: ["a.com"], secretName: "s" }],
    rules: [
      {
        host: "a.com",
        http: {
          paths: [
            { path: "/", pathType: "Prefix", backend: { service: { name: "w", port: { number: 80 } } } },
            { pathType: "Exact", path: "/x", backend: { service: { name: "w", port: { name: "http" } } } },
          ],
        },
      },
      { host: "b.com" },
    ],
  };
  assert.deepEqual(decode(ingress(spec)), {
    ref: { kind: "Ingress", namespace: "higress-system", name: "i" },
    problems: [],
    resource: { kind: "Ingress", metadata: { name: "i", namespace: "higress-system" }, spec },
  });
  assert.deepEqual(problemsOf(ingress({ rules: {} })), ["INVALID_VALUE spec.rules"]);
  assert.deepEqual(problemsOf(ingress({ rules: [{ http: {} }, null] })), [
    "MISSING_FIELD spec.rules[0].http.paths",
  ]);
  assert.deepEqual(
    problemsOf(
      ingress({
        rules: [{ http: { paths: [{ pathType: "prefix" }, { backend: {} }, { backend: { service: {} } }] } }],
      }),
    ),
    [
      "INVALID_VALUE spec.rules[0].http.paths[0].pathType",
      "MISSING_FIELD spec.rules[0].http.paths[0].backend",
      "MISSING_FIELD spec.rules[0].http.paths[1].backend.service",
      "MISSING_FIELD spec.rules[0].http.paths[2].backend.service.name",
    ],
  );
});

test("Service, EndpointSlice and IngressClass", () => {
  const service = (spec: unknown) => ({ apiVersion: "v1", kind: "Service", metadata: { name: "s" }, spec });
  const spec = {
    type: "ClusterIP",
    ports: [
      { name: "http", port: 80, targetPort: "web" },
      { port: 81, targetPort: 8081 },
    ],
  };
  const decoded = decode(service({ ...spec, selector: { app: "x" } })).resource;
  assert.deepEqual(decoded?.kind === "Service" && decoded.spec, spec);
  assert.deepEqual(problemsOf(service({ ports: [{}, { port: "80" }] })), [
    "MISSING_FIELD spec.ports[0].port",
    "INVALID_VALUE spec.ports[1].port",
  ]);

  const fields = {
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true } }],
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  };
  const slice = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "e" },
    ...fields,
  };
  assert.deepEqual(decode(slice).resource, {
    kind: "EndpointSlice",
    metadata: { name: "e", namespace: "higress-system" },
    ...fields,
  });

  const ingressClass = {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: "c", namespace: "x" },
  };
  assert.deepEqual(decode(ingressClass).resource, {
    kind: "IngressClass",
    metadata: { name: "c", namespace: "" },
    spec: {},
  });
});

test("Secret: data is decoded, stringData wins", () => {
  const secret = (fields: object) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    ...fields,
  });
  const { resource } = decode(secret({ data: { a: "aGk=\n", b: "YQ==" }, stringData: { b: "ü" } }));
  assert(resource?.kind === "Secret");
  assert.equal(resource.type, "Opaque");
  assert.deepEqual(resource.data, {
    a: new Uint8Array(Buffer.from("hi")),
    b: new Uint8Array(Buffer.from("ü")),
  });
  assert.deepEqual(problemsOf(secret({ data: { a: "aGk" } })), ["INVALID_VALUE data.a"]);
});

test("Secret: no message holds a value", () => {
  const value = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    type: 12345678,
    data: { a: "hunter2!", b: 12345678 },
    stringData: { c: 12345678, d: ["hunter2!"] },
  };
  const { problems } = decode(value);
  assert.equal(problems.length, 5);
  assert.doesNotMatch(JSON.stringify(problems), /hunter2|12345678/);
});

test("ConfigMap: values are strings", () => {
  const value = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" }, data: { a: "1", b: 2 } };
  assert.deepEqual(problemsOf(value), ["INVALID_VALUE data.b"]);
});

const kinds = [
  ["extensions.higress.io/v1alpha1", "WasmPlugin"],
  ["networking.k8s.io/v1", "Ingress"],
  ["networking.k8s.io/v1", "IngressClass"],
  ["v1", "Service"],
  ["discovery.k8s.io/v1", "EndpointSlice"],
  ["v1", "Secret"],
  ["v1", "ConfigMap"],
] as const;
const names =
  "name namespace labels annotations url phase priority vmConfig env matchRules domain config match_rules rules http paths backend service port ports endpoints addresses conditions data stringData tls hosts toString __proto__".split(
    " ",
  );
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.jsonValue({ maxDepth: 1 }),
    fc.double(),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...names), tie("value"), { maxKeys: 6 }),
  ),
}));
const fields = fc.dictionary(
  fc.constantFrom("metadata", "spec", "type", "data", "stringData", "endpoints"),
  anything,
);

test("any JSON is decoded or refused with an error, never thrown at", () => {
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fields, ([apiVersion, kind], rest) => {
      for (const value of [rest, { ...rest, apiVersion, kind }]) {
        const { resource, problems } = decode(value);
        assert.equal(
          resource === undefined,
          problems.some(({ severity }) => severity === "error"),
        );
      }
    }),
    { numRuns: fuzzRuns(500) },
  );
});
