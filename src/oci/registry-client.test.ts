import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  type DockerRegistry,
  runSkopeo,
  startDockerRegistry,
  testerHtpasswd,
} from "../../test/peers/docker-registry.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { writePluginImage } from "./image-layout.ts";
import { pullModule } from "./pull-module.ts";
import { parseReference } from "./reference.ts";
import { createRegistryClient, type PullOptions, type RegistryClientOptions } from "./registry-client.ts";

const wasm = tinyModule("pulled");
let root: string;
let open: DockerRegistry;
let guarded: DockerRegistry;
/** Of the image as it is in the layout. */
let digest: string;

before(async () => {
  root = await mkdtemp(join(tmpdir(), "registry-client-"));
  [open, guarded] = await Promise.all([
    startDockerRegistry(),
    startDockerRegistry({ htpasswd: testerHtpasswd }),
  ]);
  ({ digest } = await writePluginImage(root, { repository: "a", tag: "1", wasm }));
  const full = { repository: "full", tag: "1", wasm, spec: "a: 1\n", readme: "# a\n" };
  await writePluginImage(root, full);
  await push("a:1", `${open.host}/plugins/a:1`);
  await push("a:1", `${open.host}/plugins/docker:1`, "--format", "v2s2");
  await push("full:1", `${open.host}/plugins/full:1`);
  await push("a:1", `${guarded.host}/plugins/a:1`, "--dest-creds", "tester:open-sesame");
});
after(async () => {
  await Promise.all([open.stop(), guarded.stop()]);
  await rm(root, { recursive: true });
});

function push(name: string, target: string, ...flags: readonly string[]): Promise<string> {
  return runSkopeo(
    "copy",
    "-q",
    "--dest-tls-verify=false",
    ...flags,
    `oci:${root}:${name}`,
    `docker://${target}`,
  );
}

function secretFor(host: string, password = "open-sesame"): string {
  return JSON.stringify({
    auths: { [host]: { auth: Buffer.from(`tester:${password}`).toString("base64") } },
  });
}

const anonymous = { credentials: () => undefined, maxAttempts: 1 };

async function pull(url: string, options: PullOptions = {}, settings: RegistryClientOptions = anonymous) {
  const client = createRegistryClient(settings);
  const reference = parseReference(url);
  const image = await client.resolve(reference, options);
  const bytes = await pullModule(client, reference, image, { ...options, maxBytes: 1 << 20 });
  return { ...image, bytes: Buffer.from(bytes) };
}

function refusal(code: SystemErrorCode, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test("OCI and Docker images, by tag and by digest", async () => {
  for (const name of [`plugins/a:1`, `plugins/a@${digest}`, "plugins/full:1", "plugins/docker:1"]) {
    const image = await pull(`oci://${open.host}/${name}`);
    assert.deepEqual(image.bytes, Buffer.from(wasm), name);
    const isDocker = image.manifest.mediaType === "application/vnd.docker.distribution.manifest.v2+json";
    assert.equal(isDocker, name === "plugins/docker:1");
  }
});

test("the digest of the manifest is the one that was pushed", async () => {
  assert.equal((await pull(`${open.host}/plugins/a:1`)).digest, digest);
});

test("what is not there", async () => {
  const message =
    /fetching the manifest of .*\/plugins\/a:2: 404 Not Found \(MANIFEST_UNKNOWN: .*\): no .*plugins\/a:2 in the/;
  await assert.rejects(pull(`${open.host}/plugins/a:2`), refusal("not-found", message));
});

test("Basic authentication by a pull secret, by the client's credentials, and without", async () => {
  const url = `${guarded.host}/plugins/a:1`;
  const pulled = await pull(url, { pullSecret: secretFor(guarded.host) });
  assert.deepEqual(pulled.bytes, Buffer.from(wasm));
  const credentials = () => ({ username: "tester", password: "open-sesame" });
  assert.deepEqual((await pull(url, {}, { credentials })).bytes, Buffer.from(wasm));
  const none = new RegExp(
    `401 Unauthorized .*: no credentials for host ${guarded.host}; add an imagePullSecret or log in`,
  );
  await assert.rejects(pull(url), refusal("unauthorized", none));
  await assert.rejects(
    pull(url, { pullSecret: secretFor("elsewhere") }, { credentials }),
    refusal("unauthorized", none),
  );
  const refused = /401 Unauthorized .*were refused; check them$/;
  await assert.rejects(
    pull(url, { pullSecret: secretFor(guarded.host, "wrong") }),
    refusal("unauthorized", refused),
  );
});

test("credentials of one pull are not used for the next", async () => {
  const client = createRegistryClient(anonymous);
  const reference = parseReference(`${guarded.host}/plugins/a:1`);
  await client.resolve(reference, { pullSecret: secretFor(guarded.host) });
  await assert.rejects(client.resolve(reference), refusal("unauthorized", /no credentials/));
});

test("a blob that was changed in the registry", async () => {
  const broken = await startDockerRegistry();
  try {
    await push("a:1", `${broken.host}/plugins/a:1`);
    const { manifest } = await createRegistryClient(anonymous).resolve(
      parseReference(`${broken.host}/plugins/a:1`),
    );
    const { digest: layer, size } = manifest.layers[0]!;
    const files = await readdir(join(broken.directory, "data"), { recursive: true });
    const file = files.find(
      (name) => name.includes(`blobs/sha256/`) && name.includes(layer.slice(7)) && name.endsWith("data"),
    );
    await writeFile(join(broken.directory, "data", file!), Buffer.alloc(size, 1));
    const message = new RegExp(
      `fetching layer ${layer} of .*: the ${size} bytes have digest .*; expected ${layer}`,
    );
    await assert.rejects(pull(`${broken.host}/plugins/a:1`), refusal("digest-mismatch", message));
  } finally {
    await broken.stop();
  }
});

test("limits of manifests and layers", async () => {
  const url = `${open.host}/plugins/a:1`;
  await assert.rejects(
    pull(url, {}, { ...anonymous, maxManifestBytes: 100 }),
    refusal("too-large", /more than 100 bytes/),
  );
  await assert.rejects(
    pull(url, {}, { ...anonymous, maxBlobBytes: 10 }),
    refusal("too-large", /at most 10 are allowed/),
  );
});

test("nobody listens, and nobody waits", async () => {
  const gone = await startDockerRegistry();
  await gone.stop();
  await assert.rejects(pull(`${gone.host}/a:1`), refusal("network", /no connection to 127.*ECONNREFUSED/));
  const signal = AbortSignal.abort();
  await assert.rejects(pull(`${open.host}/plugins/a:1`, { signal }), refusal("cancelled", /cancelled/));
});

test("bearer tokens, checked by the registry itself", async () => {
  const { startTokenServer } = await import("../../test/peers/token-server.ts");
  const tokens = await startTokenServer({
    user: "tester",
    password: "open-sesame",
    keys: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  });
  const registry = await startDockerRegistry({ token: tokens.registryConfig });
  try {
    await push("a:1", `${registry.host}/plugins/a:1`, "--dest-creds", "tester:open-sesame");
    const url = `${registry.host}/plugins/a:1`;
    const client = createRegistryClient(anonymous);
    const before = tokens.issued();
    const pullSecret = secretFor(registry.host);
    const image = await client.resolve(parseReference(url), { pullSecret });
    await pullModule(client, parseReference(url), image, { pullSecret, maxBytes: 1 << 20 });
    assert.equal(tokens.issued() - before, 1);
    await assert.rejects(
      pull(url),
      refusal("unauthorized", /asking 127.* for a token: status 401; add an imagePullSecret/),
    );
    const wrong = { pullSecret: secretFor(registry.host, "wrong") };
    await assert.rejects(pull(url, wrong), refusal("unauthorized", /the credentials were refused/));
  } finally {
    await registry.stop();
    await tokens.stop();
  }
});

test("plain HTTP beyond loopback only for registries that are listed", async () => {
  // Reaches this machine, but is no loopback address.
  const host = open.host.replace("127.0.0.1", "0.0.0.0");
  const url = `${host}/plugins/a:1`;
  await assert.rejects(
    pull(url),
    refusal("network", /plain HTTP, list 0\.0\.0\.0:\d+ as an insecure registry/),
  );
  const settings = { ...anonymous, insecureRegistries: [host] };
  assert.deepEqual((await pull(url, {}, settings)).bytes, Buffer.from(wasm));
});

test("a token that is not believed any more gives way to a new one, though it would live on", async () => {
  const { digest } = await pull(`${open.host}/plugins/a:1`);
  let issued = 0;
  let believed = "Bearer 1";
  const server = createServer((request, response) => {
    const { host = "", authorization } = request.headers;
    if (request.url?.startsWith("/token"))
      return void response.end(JSON.stringify({ token: String(++issued), expires_in: 86_400 }));
    if (authorization === undefined) {
      const challenge = `Bearer realm="http://${host}/token",service="registry"`;
      return void response.writeHead(401, { "www-authenticate": challenge }).end();
    }
    const headers = { "docker-content-digest": digest };
    return void response.writeHead(authorization === believed ? 200 : 403, headers).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const client = createRegistryClient(anonymous);
    const reference = parseReference(`127.0.0.1:${(server.address() as AddressInfo).port}/plugins/a:1`);
    assert.equal(await client.findDigest(reference), digest);
    believed = "Bearer 2";
    assert.equal(await client.findDigest(reference), undefined);
    assert.equal(await client.findDigest(reference), digest);
    assert.equal(issued, 2);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("what a reference stands for, by the head of its manifest alone", async () => {
  const client = createRegistryClient(anonymous);
  const [a, none, secret] = ["a:1", "a:2", "a:1"].map((name, index) =>
    client.findDigest(parseReference(`${index === 2 ? guarded.host : open.host}/plugins/${name}`)),
  );
  assert.equal(await a, (await pull(`${open.host}/plugins/a:1`)).digest);
  assert.equal(await none, undefined);
  assert.equal(await secret, undefined);
  const credentials = { pullSecret: secretFor(guarded.host) };
  assert.match(
    (await client.findDigest(parseReference(`${guarded.host}/plugins/a:1`), credentials)) ?? "",
    /^sha256:[0-9a-f]{64}$/,
  );
});
