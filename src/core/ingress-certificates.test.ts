import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { ServerSchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { formatDiagnostic, formatPath } from "../resource/diagnostic.ts";
import type { Ingress, ResourceSet, Secret } from "../resource/types.ts";
import { type ConvertedIngresses, convertIngresses } from "./convert-ingress.ts";
import { defaultConvertOptions } from "./convert-options.ts";

/** Self-signed, for foo.com, made for this test. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBfDCCASGgAwIBAgIUPksQY/aoEqITRp7cxcGwYXkYeogwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZm9vLmNvbTAgFw0yNjExMjMwMDE4MTFaGA8yMTI2MTAzMDAw
MTgxMVowEjEQMA4GA1UEAwwHZm9vLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABDixYY98DiNUu/LKMoCxCEqzrsu+VVDn/a6vvMUIuw6T4q8qWnfeQtlQ9VZ/
Y7FGUkwmX0ikR2nggy0peCDU6T2jUzBRMB0GA1UdDgQWBBSTT03chTnUuctnLN56
8xg/yzRI4TAfBgNVHSMEGDAWgBSTT03chTnUuctnLN568xg/yzRI4TAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQD6HYxlGs+LyoDlW1e7tWR25EXO
NHtb3ccR8kutCIabhwIhAJqhTQDojB1fojUpgzTN4jhsQ0U9TC2RA5coNCQqsY4M
-----END CERTIFICATE-----
`;
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcWkCUnxi6kBSzv/a
ijtMwYiZtAfvdFds5sHg/vP58vGhRANCAAQ4sWGPfA4jVLvyyjKAsQhKs67LvlVQ
5/2ur7zFCLsOk+KvKlp33kLZUPVWf2OxRlJMJl9IpEdp4IMtKXgg1Ok9
-----END PRIVATE KEY-----
`;
const otherKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgla6Rjo2U1HVbJ4Pw
vM+PCbfT0BefpzExkiQBKFLQPoqhRANCAAQ8yVxY775DrGn4g0zB1x+U4PFOHFMk
vuX9KJBGSxT2Us6EqKv+48Rwr//J2ZLHBQXV8QHreMkPssmViwa0hU9a
-----END PRIVATE KEY-----
`;

function makeSecret(id: string, data: Record<string, string> = {}, type = "kubernetes.io/tls"): Secret {
  const [namespace = "", name = ""] = id.split("/");
  const text = { "tls.crt": certificate, "tls.key": key, ...data };
  const bytes = Object.entries(text).map(([name, value]) => [name, new TextEncoder().encode(value)]);
  return { kind: "Secret", metadata: { namespace, name }, type, data: Object.fromEntries(bytes) };
}

function makeIngress(
  id: string,
  hosts: readonly (string | undefined)[],
  tls: Ingress["spec"]["tls"],
): Ingress {
  const [namespace = "", name = ""] = id.split("/");
  const backend = { service: { name: "echo", port: { number: 80 } } };
  const rules = hosts.map((host) => ({
    host,
    http: { paths: [{ path: `/${name}`, pathType: "Prefix" as const, backend }] },
  }));
  return { kind: "Ingress", metadata: { namespace, name }, spec: { rules, tls } };
}

function convert(ingresses: readonly Ingress[], secrets: readonly Secret[]): ConvertedIngresses {
  const services = ["ns", "other"].map((namespace) => ({
    kind: "Service" as const,
    metadata: { namespace, name: "echo" },
    spec: { type: "ExternalName", externalName: "echo.example", ports: [{ port: 80 }] },
  }));
  const set: ResourceSet = {
    wasmPlugins: [],
    ingresses,
    ingressClasses: [],
    services,
    endpointSlices: [],
    secrets,
    configMaps: [],
  };
  return convertIngresses(set, { ...defaultConvertOptions });
}

/** The servers of each host: `foo.com http`, `foo.com https <credential>`. */
function servers({ gateways }: ConvertedIngresses): string[] {
  return gateways
    .flatMap(({ spec }) => spec.servers)
    .map(({ hosts, port, tls }) =>
      [hosts[0], port?.protocol.toLowerCase(), tls?.credentialName].filter(Boolean).join(" "),
    )
    .sort();
}

function remarks({ diagnostics }: ConvertedIngresses): string[] {
  return diagnostics.map(({ severity, code, at }) => `${severity} ${code} ${formatPath(at.path ?? [])}`);
}

const fooTls = [{ hosts: ["foo.com"], secretName: "foo-tls" }];
const fooIngress = makeIngress("ns/foo", ["foo.com"], fooTls);
const credential = "kubernetes-ingress://Kubernetes/ns/foo-tls";

suite("certificates of Ingresses", () => {
  test("a host with a certificate has an HTTPS server beside the HTTP one", () => {
    const converted = convert([fooIngress], [makeSecret("ns/foo-tls")]);
    assert.deepEqual(toJson(ServerSchema, converted.gateways[0]!.spec.servers[1]!), {
      port: { number: 443, protocol: "HTTPS", name: "https-443-ingress-Kubernetes" },
      hosts: ["foo.com"],
      tls: { mode: "SIMPLE", credentialName: credential },
    });
    assert.deepEqual(servers(converted), ["foo.com http", `foo.com https ${credential}`]);
    assert.deepEqual(converted.diagnostics, []);
  });

  test("its Secret is sent once, without what a gateway does not need", () => {
    const secret = makeSecret("ns/foo-tls", { "ca.crt": "private" });
    const second = makeIngress("ns/second", ["foo.com"], fooTls);
    const { secrets, diagnostics } = convert([fooIngress, second], [secret, makeSecret("ns/unused")]);
    assert.equal(secrets.length, 1);
    const { kind, namespace, name, spec } = secrets[0]!;
    assert.deepEqual([kind, namespace, name, spec.type], ["Secret", "ns", "foo-tls", "kubernetes.io/tls"]);
    assert.deepEqual(spec.data, { "tls.crt": secret.data["tls.crt"], "tls.key": secret.data["tls.key"] });
    assert.deepEqual(diagnostics, []);
  });

  test("an unchanged Secret keeps its object", () => {
    const secret = makeSecret("ns/foo-tls");
    assert.equal(convert([fooIngress], [secret]).secrets[0], convert([fooIngress], [secret]).secrets[0]);
  });

  test("a missing Secret leaves HTTP only, also if another namespace has one", () => {
    const converted = convert([fooIngress], [makeSecret("other/foo-tls")]);
    assert.deepEqual(servers(converted), ["foo.com http"]);
    assert.deepEqual(remarks(converted), ["error SECRET_NOT_FOUND spec.tls[0].secretName"]);
    assert.deepEqual(converted.secrets, []);
  });

  test("a Secret that core may not read is said to be that", () => {
    const unreadable = "cannot list /api/v1/namespaces/ns/secrets: forbidden";
    const converted = convert([fooIngress], [{ ...makeSecret("ns/foo-tls"), data: {}, unreadable }]);
    assert.deepEqual(servers(converted), ["foo.com http"]);
    assert.deepEqual(
      converted.diagnostics.map(({ code, message }) => [code, message]),
      [["SECRET_UNREADABLE", `${unreadable}; its hosts get no HTTPS from it`]],
    );
  });

  const wrong: [string, Secret, RegExp][] = [
    [
      "of another type",
      makeSecret("ns/foo-tls", {}, "Opaque"),
      /has type Opaque, expected kubernetes.io\/tls/,
    ],
    ["without certificate", makeSecret("ns/foo-tls", { "tls.crt": "" }), /has no tls\.crt/],
    ["without key", makeSecret("ns/foo-tls", { "tls.key": "" }), /has no tls\.key/],
    ["with no certificate", makeSecret("ns/foo-tls", { "tls.crt": "SENSITIVE" }), /no certificate in PEM/],
    [
      "with no key",
      makeSecret("ns/foo-tls", { "tls.key": "SENSITIVE" }),
      /no unencrypted private key in PEM/,
    ],
    [
      "with another key",
      makeSecret("ns/foo-tls", { "tls.key": otherKey }),
      /does not belong to its tls\.crt/,
    ],
  ];
  for (const [what, secret, message] of wrong) {
    test(`a Secret ${what} leaves HTTP only, and nothing of it is told`, () => {
      const converted = convert([fooIngress], [secret]);
      assert.deepEqual(servers(converted), ["foo.com http"]);
      assert.deepEqual(remarks(converted), ["error SECRET_INVALID spec.tls[0].secretName"]);
      assert.match(converted.diagnostics[0]!.message, message);
      assert.doesNotMatch(formatDiagnostic(converted.diagnostics[0]!), /SENSITIVE|MIG|BEGIN/);
      assert.deepEqual(converted.secrets, []);
    });
  }

  test("an entry without Secret is remarked", () => {
    const converted = convert([makeIngress("ns/foo", ["foo.com"], [{ hosts: ["foo.com"] }])], []);
    assert.deepEqual(remarks(converted), ["warning MISSING_FIELD spec.tls[0]"]);
    assert.deepEqual(servers(converted), ["foo.com http"]);
  });

  test("hosts must be the same: an entry for no host of a rule is remarked", () => {
    const tls = [{ hosts: ["*.com"], secretName: "foo-tls" }, { secretName: "foo-tls" }];
    const converted = convert([makeIngress("ns/foo", ["foo.com"], tls)], [makeSecret("ns/foo-tls")]);
    assert.deepEqual(servers(converted), ["foo.com http"]);
    assert.deepEqual(remarks(converted), [
      "warning INVALID_VALUE spec.tls[0]",
      "warning INVALID_VALUE spec.tls[1]",
    ]);
  });

  test("an entry without hosts is for the rules without host", () => {
    const ingress = makeIngress("ns/all", [undefined], [{ secretName: "foo-tls" }]);
    assert.deepEqual(servers(convert([ingress], [makeSecret("ns/foo-tls")])), [
      "* http",
      `* https ${credential}`,
    ]);
  });

  test("the first usable certificate of a host wins, another one is remarked", () => {
    const others = [{ hosts: ["foo.com"], secretName: "other-tls" }];
    const ingresses = [fooIngress, makeIngress("other/zoo", ["foo.com"], others)];
    const second = makeSecret("other/other-tls");
    const both = convert(ingresses, [makeSecret("ns/foo-tls"), second]);
    assert.deepEqual(servers(both), ["foo.com http", `foo.com https ${credential}`]);
    assert.deepEqual(remarks(both), ["warning DUPLICATE_ROUTE spec.tls[0].secretName"]);
    const broken = convert(ingresses, [makeSecret("ns/foo-tls", { "tls.key": otherKey }), second]);
    assert.deepEqual(servers(broken), [
      "foo.com http",
      "foo.com https kubernetes-ingress://Kubernetes/other/other-tls",
    ]);
  });

  test("ssl-redirect does not wait for the certificate", () => {
    const annotations = { "higress.io/ssl-redirect": "true" };
    const ingress = { ...fooIngress, metadata: { ...fooIngress.metadata, annotations } };
    const { gateways } = convert([ingress], []);
    assert.equal(gateways[0]!.spec.servers[0]!.tls?.httpsRedirect, true);
    assert.equal(gateways[0]!.spec.servers.length, 1);
  });
});
