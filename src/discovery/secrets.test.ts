import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  GatewaySchema,
  ServerTLSSettings_TLSmode as TlsMode,
} from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import type { ProxyNode, SecretAccess } from "./proxy.ts";
import { buildSecrets } from "./secrets.ts";
import { serversByPort } from "./servers.ts";

function makeSecret(id: string): IstioConfig<"Secret"> {
  const [namespace = "", name = ""] = id.split("/");
  const data = { "tls.crt": Buffer.from(`${id} certificate`), "tls.key": Buffer.from(`${id} key`) };
  return { kind: "Secret", namespace, name, spec: create(SecretSchema, { data }) };
}

function build(
  credentials: readonly string[],
  secrets: readonly IstioConfig<"Secret">[],
  access: SecretAccess = "all",
) {
  const servers = credentials.map((credentialName, index) => ({
    port: { number: 443, protocol: "HTTPS", name: "https" },
    hosts: [`${index}.com`],
    tls: { mode: TlsMode.SIMPLE, credentialName },
  }));
  const gateway = { namespace: "ns", name: "g", spec: create(GatewaySchema, { servers }) };
  const proxy: ProxyNode = { namespace: "ns", labels: {}, secrets: access, chain: "listener" };
  const ports = serversByPort([{ kind: "Gateway", ...gateway }], proxy);
  return buildSecrets(ports, secrets, proxy).map((secret) => resourceJson(secret));
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("a certificate goes under the name that the server asks for, in either of Istio's forms", () => {
  const secrets = [makeSecret("ns/one"), makeSecret("other/two"), makeSecret("ns/unused")];
  const found = build(["kubernetes-ingress://cluster/ns/one", "kubernetes://other/two"], secrets);
  const certificateOf = (id: string) => ({
    certificateChain: { inlineBytes: base64(`${id} certificate`) },
    privateKey: { inlineBytes: base64(`${id} key`) },
  });
  assert.deepEqual(found, [
    { name: "kubernetes-ingress://cluster/ns/one", tlsCertificate: certificateOf("ns/one") },
    { name: "kubernetes://other/two", tlsCertificate: certificateOf("other/two") },
  ]);
});

test("a certificate that several servers use is sent once, one that is missing not at all", () => {
  const name = "kubernetes-ingress://cluster/ns/one";
  assert.equal(build([name, name], [makeSecret("ns/one")]).length, 1);
  assert.deepEqual(build([name], [makeSecret("other/one")]), []);
});

test("a gateway gets the certificates that it may have, and no other", () => {
  const names = ["kubernetes-ingress://cluster/ns/one", "kubernetes://other/two"];
  const secrets = [makeSecret("ns/one"), makeSecret("other/two")];
  const found = (access: SecretAccess) =>
    build(names, secrets, access).map((secret) => (secret as { name: string }).name);
  assert.deepEqual(found("all"), names);
  assert.deepEqual(found("own-namespace"), names.slice(0, 1));
  assert.deepEqual(found("none"), []);
});
