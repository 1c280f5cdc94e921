import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, suite, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { kinds } from "../../src/istio/kinds.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";
import { type AskingGateway, askAsGateway } from "../peers/asking-gateway.ts";
import { makeCertificate } from "../peers/certificate.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { freePortOffset } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { reviewerKubeconfig } from "../peers/reviewer.ts";
import { forgedToken, tokenUntil } from "../peers/service-account-token.ts";
import { until } from "../peers/until.ts";

// What a gateway gets by who it proves to be: a real API server reviews the tokens, and what is served are our own roles.

const root = "higress-system";
const mcpSecrets = kinds.Secret.mcpTypeUrls[0];
const audience = "istio-ca";
const certificateName = "kubernetes-ingress://Kubernetes/shop/shop-tls";
/** What stands in Secrets, as it would be found on the wire. */
const secrets = {
  consumer: "value-of-consumer",
  pull: "cHVsbDpwYXNzd29yZA==",
  key: "not-a-real-private-key",
};

let plane: Kubernetes;
let endPlane: () => Promise<void>;
let directory: string;
let authority: Buffer;
let offset: number;
let core: Program;
let discovery: Program;
let token: string;
const tokens: string[] = [];
const opened: AskingGateway[] = [];

before(async () => {
  ({ plane, end: endPlane } = await startKubernetes());
  directory = await mkdtemp(join(tmpdir(), "isolation-"));
  const shop = makeCertificate(directory, "shop");
  const key = await readFile(shop.key, "utf8");
  // A line of it: the whole has line ends, which one or another form would write differently.
  secrets.key = key.split("\n")[1]!;
  await writeFile(join(directory, "resources.yaml"), resources);
  await writeFile(
    join(directory, "shop-tls.json"),
    JSON.stringify({
      ...{ apiVersion: "v1", kind: "Secret", metadata: { name: "shop-tls", namespace: "shop" } },
      ...{ type: "kubernetes.io/tls" },
      stringData: { "tls.crt": await readFile(shop.certificate, "utf8"), "tls.key": key },
    }),
  );
  const certificate = makeCertificate(directory, "discovery");
  authority = await readFile(certificate.certificate);
  offset = await freePortOffset();
  const ports = ["--port-offset", String(offset)];
  core = startWasmline([
    ...["core", "-f", directory, ...ports, "--kubeconfig", await reviewerKubeconfig(plane)],
    ...["--mcp-tls-cert", certificate.certificate, "--mcp-tls-key", certificate.key],
  ]);
  await writeFile(join(directory, "core.token"), await issue(root, "discovery", "wasmline-core"));
  discovery = startWasmline([
    ...["discovery", ...ports, "--core", `127.0.0.1:${15052 + offset}`],
    ...["--core-ca", certificate.certificate, "--core-token-file", join(directory, "core.token")],
    ...["--tls-cert", certificate.certificate, "--tls-key", certificate.key],
    ...["--token-review", "--kubeconfig", await reviewerKubeconfig(plane), "--require-authentication"],
    ...["--gateway-namespace", "team-a"],
  ]);
  token = await issue(root, "gateway");
  await until("discovery is ready", async () => (await get(15014 + offset, "/ready")).status === 200);
});
after(async () => {
  await discovery?.stop();
  await core?.stop();
  await endPlane?.();
  await rm(directory, { recursive: true, force: true });
});
afterEach(() => {
  for (const gateway of opened.splice(0)) gateway.close();
});

async function issue(namespace: string, account: string, of = audience): Promise<string> {
  const issued = await plane.token(namespace, account, { audience: of });
  tokens.push(issued);
  return issued;
}

function ask(authorization: string | undefined, more: Partial<Parameters<typeof askAsGateway>[0]> = {}) {
  const gateway = askAsGateway({
    address: `127.0.0.1:${15012 + offset}`,
    authority,
    authorization,
    names: {
      [typeUrls.extensionConfig]: [`${root}.key-auth`, `${root}.private`],
      [typeUrls.secret]: [certificateName],
    },
    ...more,
  });
  opened.push(gateway);
  return gateway;
}

const holds = (bytes: readonly Buffer[], text: string) => Buffer.concat(bytes).includes(text);

/** Which of the Secrets are in what a gateway got. */
const found = ({ received }: AskingGateway) =>
  Object.entries(secrets).flatMap(([name, text]) => (holds(received, text) ? [name] : []));

async function assertRefused(gateway: AskingGateway, code: status, details: RegExp): Promise<void> {
  const ended = await until("the stream is ended", () => gateway.ended());
  assert.equal(status[ended.code], status[code], ended.details);
  assert.match(ended.details, details);
  assert.deepEqual(gateway.received, []);
}

const complete = (gateway: AskingGateway) =>
  until(
    "everything came",
    () => gateway.resourceNames().includes(`${root}.key-auth`) && gateway.received.length >= 3,
  );

suite("a gateway over TLS", () => {
  test("with its ServiceAccount's token gets everything that selects it", async () => {
    const gateway = ask(`Bearer ${token}`);
    await until("all secrets", () => found(gateway).length === 3);
    assert.deepEqual(
      [`${root}.key-auth`, `${root}.private`, certificateName].filter(
        (name) => !gateway.resourceNames().includes(name),
      ),
      [],
    );
  });

  test("without a token gets nothing", async () => {
    await assertRefused(ask(undefined), status.UNAUTHENTICATED, /^no token: expected the metadata/);
    await assertRefused(ask("Basic abc"), status.UNAUTHENTICATED, /^no token/);
  });

  test("with a token that nobody signed gets nothing", async () => {
    await assertRefused(
      ask(`Bearer ${forgedToken(token)}`),
      status.UNAUTHENTICATED,
      /^the token is not valid/,
    );
    await assertRefused(ask("Bearer anything"), status.UNAUTHENTICATED, /^the token is not valid/);
  });

  test("with an expired token gets nothing", async () => {
    const expired = await tokenUntil(plane, token, new Date(Date.now() - 60_000));
    await assertRefused(ask(`Bearer ${expired}`), status.UNAUTHENTICATED, /^the token .* has expired/);
  });

  test("with a token for another audience gets nothing", async () => {
    const other = await issue(root, "gateway", "https://elsewhere");
    await assertRefused(ask(`Bearer ${other}`), status.UNAUTHENTICATED, /for the audience istio-ca$/);
  });

  test("with a token of a ServiceAccount that is gone gets nothing", async () => {
    const gone = await issue(root, "gone");
    await plane.kubectl(["delete", "serviceaccount", "gone", "-n", root]);
    await assertRefused(ask(`Bearer ${gone}`), status.UNAUTHENTICATED, /^the token is not valid/);
  });

  test("that says it is in another namespace than its token's gets nothing", async () => {
    const other = await issue("team-a", "gateway");
    const denied =
      /^the node says that it is in the namespace "higress-system", its token is of team-a\/gateway$/;
    await assertRefused(ask(`Bearer ${other}`), status.PERMISSION_DENIED, denied);
    // Metadata and id do not agree.
    const mixed = ask(`Bearer ${other}`, { metadata: { NAMESPACE: "team-a" } });
    await assertRefused(mixed, status.PERMISSION_DENIED, denied);
    const account = ask(`Bearer ${token}`, { metadata: { SERVICE_ACCOUNT: "discovery" } });
    await assertRefused(account, status.PERMISSION_DENIED, /its ServiceAccount is "discovery"/);
  });

  test("of a namespace that is not served gets nothing", async () => {
    const other = await issue("team-b", "gateway");
    const gateway = ask(`Bearer ${other}`, { namespace: "team-b" });
    await assertRefused(
      gateway,
      status.PERMISSION_DENIED,
      /^gateways of the namespace team-b are not served here/,
    );
  });

  test("of another namespace that is served gets plugins, and no credentials of others", async () => {
    const gateway = ask(`Bearer ${await issue("team-a", "gateway")}`, { namespace: "team-a" });
    await complete(gateway);
    // The plugin's author says that it applies to all gateways: what it is configured with goes with it.
    assert.deepEqual(found(gateway), ["consumer"]);
  });

  test("is sent away when its token has expired", async () => {
    const short = await tokenUntil(plane, token, new Date(Date.now() + 4000));
    const gateway = ask(`Bearer ${short}`);
    await complete(gateway);
    const ended = await until("the stream is ended", () => gateway.ended(), 60_000);
    assert.deepEqual(
      [status[ended.code], ended.details],
      ["UNAUTHENTICATED", "the token has expired: connect again with a new one"],
    );
  });

  test("is told to come again while no API server reviews tokens, and known ones are taken", async () => {
    const unknown = await issue(root, "late");
    await plane.stopApiServer();
    await assertRefused(ask(`Bearer ${unknown}`), status.UNAVAILABLE, /^the token cannot be reviewed now/);
    await complete(ask(`Bearer ${token}`));
    await plane.startApiServer();
    await complete(ask(`Bearer ${unknown}`));
  });
});

test("a gateway that does not trust discovery's certificate says so", async () => {
  const gateway = ask(`Bearer ${token}`, { authority: await readFile(plane.caFile) });
  const ended = await until("the stream is ended", () => gateway.ended());
  assert.equal(status[ended.code], "UNAVAILABLE");
});

test("core is for who proves to be of its own namespace, by a token that no gateway has", async () => {
  const mcp = { "networking.istio.io/v1alpha3/Gateway": [], [mcpSecrets]: [] };
  const askCore = (authorization?: string) =>
    ask(authorization, { address: `127.0.0.1:${15052 + offset}`, names: mcp });
  await assertRefused(askCore(), status.UNAUTHENTICATED, /^no token/);
  await assertRefused(askCore(`Bearer ${token}`), status.UNAUTHENTICATED, /for the audience wasmline-core$/);
  const stranger = await issue("team-a", "gateway", "wasmline-core");
  await assertRefused(
    askCore(`Bearer ${stranger}`),
    status.PERMISSION_DENIED,
    /^core is for discoveries of the namespace/,
  );
  const known = askCore(`Bearer ${await issue(root, "discovery", "wasmline-core")}`);
  await until("the Secrets", () => holds(known.received, "registry"));
});

test("a gateway on this machine needs no proof in plaintext", async () => {
  const gateway = ask(undefined, { address: `127.0.0.1:${15010 + offset}`, authority: undefined });
  await until("all secrets", () => found(gateway).length === 3);
});

test("neither logs nor pages of discovery hold tokens or what is in Secrets", async () => {
  // Those of the tests before have the same name.
  await until("nobody is connected", async () => (await page("/debug/syncz")).trim() === "[]");
  ask(`Bearer ${token}`);
  const dump = "/debug/config_dump?proxyID=asking.higress-system";
  await until("it has its plugins", async () => (await page(dump)).includes("plugins/private"));
  const paths = ["/debug/syncz", "/debug/ecdsz", "/debug/configz", dump, "/metrics"];
  const texts = [discovery.stderr(), discovery.stdout(), ...(await Promise.all(paths.map(page)))];
  assert.match(await page(dump), /private/);
  assert.match(await page("/debug/syncz"), /"service_account": "higress-system\/gateway"/);
  assert.match(
    await page("/metrics"),
    /wasmline_xds_refused_streams_total\{code="PERMISSION_DENIED"\} [1-9]/,
  );
  assert.match(discovery.stderr(), /refused a client .*UNAUTHENTICATED/);
  const kept = [...Object.values(secrets), ...tokens.map((text) => text.split(".")[2]!)];
  for (const text of texts)
    for (const secret of kept) {
      assert.ok(!text.includes(secret), `${secret.slice(0, 20)} in ${text.slice(0, 200)}`);
      assert.ok(!text.includes(Buffer.from(secret).toString("base64").replace(/=+$/, "")));
    }
});

async function page(path: string): Promise<string> {
  const { status: code, body } = await get(15014 + offset, path);
  assert.equal(code, 200, path);
  return body;
}

const resources = `
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: { name: key-auth, namespace: ${root} }
spec:
  url: oci://registry.example.com/plugins/key-auth:1
  defaultConfig: { keys: [x-api-key], consumers: [{ name: a, credential: "\${secret.consumers.a}" }] }
---
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: { name: private, namespace: ${root} }
spec:
  url: oci://registry.example.com/plugins/private:1
  imagePullSecret: registry
  defaultConfig: { a: b }
---
apiVersion: v1
kind: Secret
metadata: { name: consumers, namespace: ${root} }
stringData: { a: ${secrets.consumer} }
---
apiVersion: v1
kind: Secret
metadata: { name: registry, namespace: ${root} }
type: kubernetes.io/dockerconfigjson
stringData: { .dockerconfigjson: '{"auths":{"registry.example.com":{"auth":"${secrets.pull}"}}}' }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop, namespace: shop }
spec:
  tls: [{ hosts: [shop.com], secretName: shop-tls }]
  rules:
    - host: shop.com
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: shop, port: { number: 80 } } } }]
---
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: shop }
spec: { ports: [{ port: 80, targetPort: 8080 }] }
`;
