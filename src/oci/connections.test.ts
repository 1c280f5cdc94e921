import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { makeCertificate } from "../../test/peers/certificate.ts";
import { runSkopeo, startDockerRegistry } from "../../test/peers/docker-registry.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { SystemError } from "../system-error.ts";
import { addressKind, mayLeadTo } from "./address-kind.ts";
import { readAuthorities } from "./authorities.ts";
import { type ConnectionOptions, createConnections } from "./connections.ts";
import { sendRequest } from "./http.ts";
import { writePluginImage } from "./image-layout.ts";
import { parseReference } from "./reference.ts";
import { createRegistryClient } from "./registry-client.ts";

const servers: Server[] = [];
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "connections-"));
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  }
  await rm(directory, { recursive: true });
});

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

function refused(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, "network");
    assert.match(error.message, message);
    return true;
  };
}

function send(url: URL, ledBy: string | undefined, options: ConnectionOptions = {}) {
  const connections = createConnections(options);
  const from = ledBy === undefined ? undefined : new URL(ledBy);
  return sendRequest({ url, ledBy: from, connections, doing: "testing", maxBytes: 1000, maxAttempts: 1 });
}

test("a registry with an authority of its own: unknown, given, another's, and not looked at", async () => {
  const own = makeCertificate(directory, "own");
  const other = makeCertificate(directory, "other");
  const registry = await startDockerRegistry({ tls: own });
  try {
    const layout = join(directory, "layout");
    await writePluginImage(layout, { repository: "a", tag: "1", wasm: tinyModule("a") });
    const target = `docker://${registry.host}/plugins/a:1`;
    await runSkopeo("copy", "-q", "--dest-tls-verify=false", `oci:${layout}:a:1`, target);
    const resolve = (options: ConnectionOptions) => {
      const connections = createConnections(options);
      const client = createRegistryClient({ connections, credentials: () => undefined, maxAttempts: 1 });
      return client.resolve(parseReference(`${registry.host}/plugins/a:1`));
    };
    const authority = async (file: string) => ({
      authorities: await readAuthorities(new Map([[registry.host, file]])),
    });
    assert.equal((await resolve(await authority(own.certificate))).manifest.layers.length, 1);
    assert.equal((await resolve({ unverifiedHosts: [registry.host] })).manifest.layers.length, 1);
    const message = new RegExp(`self-signed certificate; .* --registry-ca ${registry.host}=FILE or`);
    await assert.rejects(resolve(await authority(other.certificate)), refused(message));
    const plain = `https://${registry.host}/v2/`;
    await assert.rejects(send(new URL(plain), undefined), refused(message));
    const elsewhere = { unverifiedHosts: ["127.0.0.1:1"] };
    await assert.rejects(send(new URL(plain), undefined, elsewhere), refused(message));
  } finally {
    await registry.stop();
  }
});

test("files of authorities that are none", async () => {
  const file = join(directory, "a.pem");
  const read = () => readAuthorities(new Map([["r.example.com", file]]));
  const doing = "reading the certificate authority of registry r\\.example\\.com from .*a\\.pem";
  await assert.rejects(read(), new RegExp(`${doing}; expected certificates in PEM: ENOENT`));
  await writeFile(file, "no certificate");
  await assert.rejects(read(), new RegExp(`${doing}.*no certificate is in it`));
  await writeFile(file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  await assert.rejects(read(), { name: "SystemError", code: "disk" });
});

test("addresses by their kind", () => {
  const kinds = {
    public: ["192.0.2.1", "172.32.0.1", "2001:db8::1", "100.128.0.1", "::ffff:192.0.2.1"],
    private: ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"],
    loopback: ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:7f00:1"],
    "link-local": ["169.254.1.1", "fe80::1", "febf::1", "::ffff:a9fe:101"],
    metadata: ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "::ffff:6464:64c8"],
  };
  for (const [kind, addresses] of Object.entries(kinds)) {
    for (const address of addresses) assert.equal(addressKind(address), kind, address);
  }
  assert.ok(mayLeadTo("private", "private") && mayLeadTo("loopback", "private"));
  assert.ok(!mayLeadTo("private", "loopback") && !mayLeadTo("link-local", "link-local"));
});

test("a redirect to a metadata or link-local address is not followed, from wherever it comes", async () => {
  for (const [host, message] of [
    [
      "169.254.169.254",
      /leads to 169\.254\.169\.254, and 169\.254\.169\.254 is a metadata address; if that is/,
    ],
    ["169.254.7.7:1", /leads to 169\.254\.7\.7:1, and 169\.254\.7\.7 is a link-local address/],
    ["[fe80::1]", /fe80::1 is a link-local address; if that is meant, give --allow-private-redirects/],
    ["[::ffff:169.254.169.254]", /is a metadata address/],
    ["0x646464c8", /100\.100\.100\.200 is a metadata address/],
  ] as const) {
    const url = await serve(
      (_, response) => void response.writeHead(302, { location: `http://${host}/` }).end(),
    );
    await assert.rejects(send(url, undefined), refused(message));
  }
});

test("what is public may not lead to loopback, by address or by name; what is loopback may", async () => {
  const paths: string[] = [];
  const url = await serve((request, response) => {
    paths.push(request.url ?? "");
    response.end("here");
  });
  const named = new URL(url);
  named.hostname = "localhost";
  for (const to of [url, named]) {
    for (const from of ["https://192.0.2.1/", "http://10.0.0.1/"]) {
      const message =
        /testing: (?:192\.0\.2\.1|10\.0\.0\.1) leads to .*, and (?:127\.0\.0\.1|::1) is a loopback/;
      await assert.rejects(send(to, from), refused(message));
    }
    assert.deepEqual(paths.splice(0), []);
    assert.equal((await send(to, "http://127.0.0.2:5000/")).status, 200);
    assert.equal((await send(to, "https://192.0.2.1/", { allowPrivateRedirects: true })).status, 200);
    assert.deepEqual(paths.splice(0), ["/", "/"]);
  }
});

test("a connection that was made without a look at the address serves nobody who needs one", async () => {
  const url = await serve((_, response) => void response.end("here"));
  url.hostname = "localhost";
  const connections = createConnections();
  const request = { url, connections, doing: "testing", maxBytes: 1000, maxAttempts: 1 };
  assert.equal((await sendRequest(request)).status, 200);
  const ledBy = new URL("https://192.0.2.1/");
  await assert.rejects(sendRequest({ ...request, ledBy }), refused(/is a loopback address/));
});

test("a token server at a metadata address gets no question", async () => {
  const url = await serve((_, response) => {
    const challenge = 'Bearer realm="http://169.254.169.254/token",service="a"';
    response.writeHead(401, { "www-authenticate": challenge }).end();
  });
  const credentials = () => ({ username: "a", password: "b" });
  const client = createRegistryClient({ credentials, maxAttempts: 1 });
  await assert.rejects(
    client.resolve(parseReference(`${url.host}/a:1`)),
    refused(/asking 169\.254\.169\.254 for a token: 127.* leads to 169\.254\.169\.254, and/),
  );
});
