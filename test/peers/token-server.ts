import { execFileSync } from "node:child_process";
import { createSign, type KeyObject, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TokenServerOptions {
  readonly user: string;
  readonly password: string;
  /** With which tokens are signed. */
  readonly keys: { readonly privateKey: KeyObject };
}

export interface TokenServer {
  /** What a docker-registry's configuration needs in order to believe it. */
  readonly registryConfig: string;
  /** How many tokens it gave out. */
  issued(): number;
  stop(): Promise<void>;
}

/** Gives out tokens of the distribution project's token specification, to one user. */
export async function startTokenServer({ user, password, keys }: TokenServerOptions): Promise<TokenServer> {
  const directory = mkdtempSync(join(tmpdir(), "token-server-"));
  const certificate = makeCertificate(directory, keys.privateKey);
  const expected = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  let issued = 0;
  const server = createServer((request, response) => {
    if (request.headers.authorization !== expected) return void response.writeHead(401).end();
    issued++;
    const scopes = new URL(request.url ?? "", "http://tokens").searchParams.getAll("scope");
    response.end(JSON.stringify({ token: signToken(scopes, keys.privateKey, certificate), expires_in: 300 }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    registryConfig: [
      `    realm: ${realm}`,
      "    service: registry",
      "    issuer: tests",
      `    rootcertbundle: ${join(directory, "certificate.pem")}`,
    ].join("\n"),
    issued: () => issued,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
      rmSync(directory, { recursive: true });
    },
  };
}

function makeCertificate(directory: string, key: KeyObject): string {
  const keyFile = join(directory, "key.pem");
  const file = join(directory, "certificate.pem");
  writeFileSync(keyFile, key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const flags = ["-x509", "-new", "-key", keyFile, "-out", file, "-days", "2", "-subj", "/CN=tests"];
  execFileSync("openssl", ["req", ...flags], { stdio: "pipe" });
  return readFileSync(file, "utf8").replace(/-----[^-]+-----|\s/g, "");
}

function signToken(scopes: readonly string[], key: KeyObject, certificate: string): string {
  const now = Math.floor(Date.now() / 1000);
  const access = scopes.map((scope) => {
    const [type = "", name = "", actions = ""] = scope.split(":");
    return { type, name, actions: actions.split(",") };
  });
  const claims = { iss: "tests", sub: "tester", aud: "registry", exp: now + 300, nbf: now - 60, iat: now };
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const header = { typ: "JWT", alg: "RS256", x5c: [certificate] };
  const content = `${encode(header)}.${encode({ ...claims, jti: randomUUID(), access })}`;
  return `${content}.${createSign("sha256").update(content).sign(key).toString("base64url")}`;
}
