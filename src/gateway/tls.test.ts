import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { createServer, get as httpsGet } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { makeCertificate } from "../../test/peers/certificate.ts";
import { readBody, runGateway, runUpstream } from "../../test/peers/gateway.ts";
import {
  cluster,
  type GatewayParts,
  gatewayConfig,
  httpConnection,
} from "../../test/peers/gateway-config.ts";
import { get } from "../../test/peers/request.ts";
import type { UpstreamTls } from "./cluster-config.ts";
import type { DownstreamTls, FilterChain, TlsCertificate } from "./gateway-config.ts";

function certificateOf(directory: string, name: string): TlsCertificate {
  const { certificate, key } = makeCertificate(directory, name);
  return {
    kind: "certificate",
    chain: readFileSync(certificate),
    privateKey: readFileSync(key),
    password: undefined,
  };
}

function chain(serverName: string, certificateName: string, parts: GatewayParts): FilterChain {
  const tls: DownstreamTls = {
    certificateNames: [certificateName],
    certificates: [],
    validation: undefined,
    requireClientCertificate: false,
    alpn: ["h2", "http/1.1"],
    minVersion: undefined,
    maxVersion: undefined,
    cipherSuites: [],
  };
  return {
    name: serverName,
    serverNames: [serverName],
    transportProtocol: "tls",
    tls,
    http: httpConnection(parts),
  };
}

test("a chain is chosen by the server name, with its certificate, for HTTP/1 and HTTP/2", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "gateway-tls-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const upstream = await runUpstream(t, async (request, response) => {
    const body = await readBody(request);
    response.writeHead(200, { trailer: "x-end" });
    response.write(`${request.headers.host} ${request.headers["x-forwarded-proto"]} ${body}`);
    response.addTrailers({ "x-end": "yes" });
    response.end();
  });
  const direct = [
    { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "other" } } },
  ];
  const chains = [chain("a.com", "cert-a", {}), chain("*.b.com", "cert-b", { routes: direct })];
  const config = {
    ...gatewayConfig({
      clusters: [cluster("up", [upstream.port], { enableTrailers: true })],
      listener: { chains },
    }),
    secrets: new Map([
      ["cert-a", certificateOf(directory, "a")],
      ["cert-b", certificateOf(directory, "b")],
    ]),
  };
  const { port } = await runGateway(t, config);
  const overHttp1 = async (servername: string) => {
    const options = { host: "127.0.0.1", port, servername, rejectUnauthorized: false, agent: false as const };
    const [response] = await once(httpsGet({ ...options, headers: { host: servername } }), "response");
    const name = (response.socket as TLSSocket).getPeerCertificate().subject.CN;
    return [name, (await readBody(response)).toString()];
  };
  assert.deepEqual(await overHttp1("a.com"), ["a", "a.com https "]);
  assert.deepEqual(await overHttp1("x.b.com"), ["b", "other"]);
  await assert.rejects(overHttp1("c.com"));

  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    servername: "a.com",
    rejectUnauthorized: false,
  });
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/", ":method": "POST", ":authority": "a.com" });
  const trailers = once(stream, "trailers");
  stream.end("body");
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 200);
  assert.equal(headers.server, "envoy");
  let text = "";
  for await (const part of stream.setEncoding("utf8")) text += part;
  assert.equal(text, "a.com https body");
  assert.equal((await trailers)[0]["x-end"], "yes");
});

test("an upstream with TLS is checked where the cluster says by whom", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "gateway-tls-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const { certificate, key } = makeCertificate(directory, "up");
  const options = { cert: readFileSync(certificate), key: readFileSync(key) };
  const server = createServer(options, (_, response) => response.end("secure"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const upstreamPort = (server.address() as AddressInfo).port;
  const answer = async (trustedCa: Uint8Array | undefined, subjectAltNames: readonly string[]) => {
    const validation = trustedCa && {
      kind: "validation" as const,
      secretName: undefined,
      trustedCa,
      subjectAltNames,
      alternativeNames: [],
      hashes: [],
      spkiHashes: [],
    };
    const tls: UpstreamTls = {
      sni: "",
      alpn: [],
      certificateNames: [],
      certificates: [],
      validation,
      minVersion: undefined,
      maxVersion: undefined,
    };
    const { port } = await runGateway(
      t,
      gatewayConfig({ clusters: [cluster("up", [upstreamPort], { tls })] }),
    );
    const { status, body } = await get(port, "/", "a.com");
    return status === 200 ? body : status;
  };
  assert.equal(await answer(undefined, []), "secure");
  assert.equal(await answer(options.cert, ["127.0.0.1"]), "secure");
  assert.equal(await answer(options.cert, ["other"]), 503);
  const stranger = readFileSync(makeCertificate(directory, "stranger").certificate);
  assert.equal(await answer(stranger, []), 503);
});
