import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import type { JsonObject } from "@bufbuild/protobuf";
import { type ListenerParts, startEmbeddedGateway, startEnvoyGateway } from "../peers/both-gateways.ts";
import { type CertificateFiles, makeCertificate, makeIssuedCertificate } from "../peers/certificate.ts";
import { connectRaw } from "../peers/raw-connection.ts";
import { type NotingUpstream, readAnswers, startNotingUpstream } from "./raw-outcome.ts";

const directory = mkdtempSync(join(tmpdir(), "wasmline-"));
const authority = makeCertificate(directory, "authority");
const server = makeIssuedCertificate(directory, "server", authority, "DNS:server,URI:spiffe://here/server");
const clients: Readonly<Record<string, CertificateFiles | undefined>> = {
  "no certificate": undefined,
  "a certificate": makeIssuedCertificate(
    directory,
    "client",
    authority,
    "DNS:client.com,DNS:b.com,URI:spiffe://here/client",
  ),
  "another certificate": makeIssuedCertificate(directory, "other", authority, "IP:1.2.3.4,email:a@b.com"),
  "a stranger's": makeCertificate(directory, "stranger"),
};

const own = { certificate_chain: { filename: server.certificate }, private_key: { filename: server.key } };
const trusted = { trusted_ca: { filename: authority.certificate } };
const tls = (validation_context: JsonObject | undefined, require = false): JsonObject => ({
  require_client_certificate: require,
  common_tls_context: { tls_certificates: [own], ...(validation_context && { validation_context }) },
});
const named = (san_type: string, matcher: JsonObject) =>
  tls({ ...trusted, match_typed_subject_alt_names: [{ san_type, matcher }] });
const forwarding = (forward_client_cert_details: string, details: JsonObject = {}): ListenerParts => ({
  tls: tls(trusted),
  http: { forward_client_cert_details, set_current_client_cert_details: details },
});
const all = { subject: true, cert: true, chain: true, dns: true, uri: true };

function hashOf({ certificate }: CertificateFiles): string {
  return new X509Certificate(readFileSync(certificate)).fingerprint256;
}

const cases: Readonly<Record<string, ListenerParts>> = {
  "nobody is asked": { tls: tls(undefined) },
  "who has one shows it": { tls: tls(trusted) },
  "everybody has to show one": { tls: tls(trusted, true) },
  "an exact name": { tls: named("DNS", { exact: "client.com" }) },
  "a name's suffix": { tls: named("URI", { suffix: "/client" }) },
  "an address": { tls: named("IP_ADDRESS", { exact: "1.2.3.4" }) },
  "an expression": { tls: named("EMAIL", { safe_regex: { regex: ".*@b.com" } }) },
  "a name of another kind": { tls: named("DNS", { exact: "spiffe://here/client" }) },
  "a certificate's hash": {
    tls: tls({ ...trusted, verify_certificate_hash: [hashOf(clients["a certificate"]!)] }),
  },
  "taken away": forwarding("SANITIZE", all),
  forwarded: forwarding("FORWARD_ONLY", all),
  appended: forwarding("APPEND_FORWARD", { subject: true, uri: true, dns: true }),
  set: forwarding("SANITIZE_SET", all),
  "set, the hash only": forwarding("SANITIZE_SET"),
  "always forwarded": forwarding("ALWAYS_FORWARD_ONLY", all),
};

async function ask(
  port: number,
  files: CertificateFiles | undefined,
  claim: string,
  upstream: NotingUpstream,
) {
  upstream.take();
  const shown: ConnectionOptions = files
    ? { cert: readFileSync(files.certificate), key: readFileSync(files.key) }
    : {};
  const client = await connectRaw(port, { ...shown, servername: "server" });
  client.write(`GET / HTTP/1.1\r\nHost: a\r\n${claim}X-Forwarded-Proto: http\r\n\r\n`);
  await client.reads((text) => readAnswers(text).length > 0);
  client.close();
  return { answers: readAnswers(client.received()), sent: upstream.take() };
}

test("client certificates are asked for, checked and forwarded as in Envoy", async (t) => {
  t.after(() => rmSync(directory, { recursive: true }));
  const own = /^(x-request-id|x-forwarded-for|x-envoy-.*)$/;
  const upstreams = [await startNotingUpstream(own), await startNotingUpstream(own)] as const;
  t.after(() => upstreams.map((each) => each.close()));
  const envoy = await startEnvoyGateway(cases, upstreams[0].port);
  t.after(() => envoy.stop());
  const embedded = await startEmbeddedGateway(cases, upstreams[1].port);
  t.after(() => embedded.stop());
  const claims = ["", "X-Forwarded-Client-Cert: Hash=0;URI=x\r\n"];
  for (const name of Object.keys(cases))
    for (const [kind, files] of Object.entries(clients))
      for (const claim of claims) {
        const [theirs, ours] = await Promise.all([
          ask(envoy.port(name), files, claim, upstreams[0]),
          ask(embedded.port(name), files, claim, upstreams[1]),
        ]);
        assert.deepEqual(ours, theirs, `${name}, ${kind}, ${claim}`);
      }
});
