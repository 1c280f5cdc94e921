import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { onEachGateway } from "../peers/gateways.ts";
import { type CertificateText, httpsIngress } from "../peers/https-ingress.ts";
import { requirePeers } from "../peers/peers.ts";
import { startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { listenerChanges } from "./status.ts";

let files: SeedFiles;
let up: ReturnType<typeof startWasmline>;
let secure: CertificateText;
let shop: CertificateText;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    secure = await makeCertificate("secure.com");
    shop = await makeCertificate("shop.com");
    await writeFile(
      join(files.dir, "secure.json"),
      JSON.stringify(httpsIngress("secure", "secure.com", secure)),
    );
    await writeFile(join(files.dir, "shop.json"), JSON.stringify(httpsIngress("shop", "shop.com", shop)));
    up = startWasmline(["up", "-f", files.dir, ...files.flags]);
    await up.waitFor("stdout", /^ready .*$/m);
  });
  after(async () => {
    await up.stop();
    await files.close();
  });

  test("each host is answered with its own certificate", async () => {
    const first = await getSecure("secure.com", [secure.certificate, shop.certificate]);
    assert.deepEqual(first, {
      status: 200,
      key1: "value1",
      fingerprint: fingerprintOf(secure),
      reused: false,
    });
    const second = await getSecure("shop.com", [secure.certificate, shop.certificate]);
    assert.deepEqual(second, {
      status: 200,
      key1: "value1",
      fingerprint: fingerprintOf(shop),
      reused: false,
    });
  });

  test("a host without a certificate gets no connection", async () => {
    await assert.rejects(getSecure("other.com", [secure.certificate]), { code: "ECONNRESET" });
  });

  test("a replaced Secret rotates the certificate and closes no connection", async () => {
    const listeners = await listenerChanges(files.adminPort);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const old = await getSecure("secure.com", [secure.certificate], agent);
    const next = await makeCertificate("secure.com");
    await writeFile(
      join(files.dir, "secure.json"),
      JSON.stringify(httpsIngress("secure", "secure.com", next)),
    );
    const rotated = await until("the new certificate is shown", () =>
      getSecure("secure.com", [next.certificate]),
    );
    assert.equal(rotated.fingerprint, fingerprintOf(next));
    assert.notEqual(rotated.fingerprint, old.fingerprint);
    const kept = await getSecure("secure.com", [secure.certificate], agent);
    assert.deepEqual(kept, { ...old, reused: true });
    agent.destroy();
    const other = await getSecure("shop.com", [shop.certificate]);
    assert.equal(other.fingerprint, fingerprintOf(shop));
    assert.deepEqual(await listenerChanges(files.adminPort), listeners);
  });

  test("no key is in what the roles log or show", async () => {
    const secret = secure.key.split("\n")[1]!;
    const proxyId = "gateway.higress-system";
    const pages: readonly (readonly [number, string])[] = [
      [8888, "/debug/configz"],
      [8888, "/api/status"],
      [15014, "/debug/configz"],
      [15014, `/debug/config_dump?proxyID=${proxyId}`],
      [15000, "/config_dump"],
    ];
    for (const [port, path] of pages) {
      const { status, body } = await get(port + files.offset, path);
      assert.deepEqual([status, body.includes(secret)], [200, false], path);
    }
    assert.equal(up.stderr().includes(secret), false);
  });
});

/** A new certificate that signs itself, for one host. */
async function makeCertificate(host: string): Promise<CertificateText> {
  const { openssl } = await requirePeers();
  const path = (name: string) => join(files.dir, "..", `${host}.${name}`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path("key")];
  const subject = [
    "-subj",
    `/CN=${host}`,
    "-addext",
    `subjectAltName=DNS:${host}`,
    "-days",
    "2",
    "-out",
    path("pem"),
  ];
  execFileSync(openssl, ["req", "-x509", ...key, ...subject], { stdio: "pipe" });
  return { certificate: readFileSync(path("pem"), "utf8"), key: readFileSync(path("key"), "utf8") };
}

/** An Ingress with TLS for a host, and its Secret. */
interface SecureAnswer {
  readonly status: number | undefined;
  readonly key1: unknown;
  /** Of the certificate that the server showed. */
  readonly fingerprint: string;
  /** Whether the connection was there before. */
  readonly reused: boolean;
}

/** A GET by HTTPS. It fails unless the server shows a certificate that `ca` signed and that is for `host`. */
function getSecure(host: string, ca: readonly string[], agent: Agent | false = false): Promise<SecureAnswer> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port: 8443 + files.offset,
      servername: host,
      ca: [...ca],
      headers: { host },
      agent,
    };
    const sent = request(options, (response) => {
      const { fingerprint256: fingerprint } = (response.socket as TLSSocket).getPeerCertificate();
      const { statusCode: status, headers } = response;
      response
        .resume()
        .on("end", () => resolve({ status, key1: headers.key1, fingerprint, reused: sent.reusedSocket }));
    });
    sent.on("error", reject).end();
  });
}

const fingerprintOf = ({ certificate }: CertificateText) => new X509Certificate(certificate).fingerprint256;
