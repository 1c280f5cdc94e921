import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeCertificate } from "../../test/peers/certificate.ts";
import {
  type DockerRegistry,
  runSkopeo,
  startDockerRegistry,
  testerHtpasswd,
} from "../../test/peers/docker-registry.ts";
import { type Fault, startFaultyRegistry } from "../../test/peers/faulty-registry.ts";
import { section } from "../../test/peers/hand-made-module.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { startTokenServer } from "../../test/peers/token-server.ts";
import { SystemError } from "../system-error.ts";
import { createConnections } from "./connections.ts";
import { digestOf } from "./digest.ts";
import { addToLayout, readLayout, writePluginImage } from "./image-layout.ts";
import { mediaTypes } from "./manifest.ts";
import { pullImage } from "./pull-image.ts";
import { pullModule } from "./pull-module.ts";
import { type PushOptions, pushImage } from "./push-image.ts";
import { parseReference } from "./reference.ts";
import { createRegistryClient, type RegistryClientOptions } from "./registry-client.ts";
import { createRegistryServer } from "./registry-server.ts";
import { findStoredImage } from "./stored-image.ts";

const credentials = () => ({ username: "tester", password: "open-sesame" });
/** Grows by nothing when it is compressed, so that it goes in chunks. */
const noise = [1, 0x6e, ...randomBytes(200_000)];
const large = Buffer.concat([tinyModule("large"), Uint8Array.from(section(0, noise))]);

let root = "";
let open: DockerRegistry;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "push-image-"));
  open = await startDockerRegistry();
  const plugin = { wasm: tinyModule("pushed"), spec: "a: 1\n", readme: "# a\n", readmes: { zh: "# 一\n" } };
  await writePluginImage(root, { repository: "small", tag: "1", ...plugin });
  await writePluginImage(root, { repository: "large", tag: "1", wasm: large });
});
after(async () => {
  await open.stop();
  await rm(root, { recursive: true });
});

/** Pushes an image of the layout; says what became of each blob. */
async function push(
  name: string,
  target: string,
  settings: RegistryClientOptions = {},
  options: PushOptions = {},
) {
  const outcomes: string[] = [];
  let sent = 0;
  const progress = {
    onSent: (_: unknown, bytes: number) => {
      sent += bytes;
    },
    onEnd: (_: unknown, outcome: string) => void outcomes.push(outcome),
  };
  const client = { credentials: () => undefined, backoffMs: 1, ...settings };
  const image = await findStoredImage(root, name);
  const pushed = await pushImage(client, image, parseReference(target), { progress, ...options });
  return { ...pushed, outcomes, sent, bytes: image.blobs.reduce((sum, { size }) => sum + size, 0) };
}

async function pulledModule(target: string, settings: RegistryClientOptions = {}): Promise<Buffer> {
  const client = createRegistryClient({ credentials: () => undefined, ...settings });
  const reference = parseReference(target);
  return Buffer.from(
    await pullModule(client, reference, await client.resolve(reference), { maxBytes: 1 << 20 }),
  );
}

function refused(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test("what was pushed is what other tools read, and pushing it again does nothing", async () => {
  const first = await push("small:1", `${open.host}/plugins/small:1`);
  assert.deepEqual([first.isNew, first.outcomes], [true, Array(5).fill("uploaded")]);
  assert.equal(first.sent, first.bytes);
  const target = `docker://${open.host}/plugins/small:1`;
  const raw = await runSkopeo("inspect", "--tls-verify=false", "--raw", target);
  assert.equal(digestOf(Buffer.from(raw)), first.digest);
  assert.deepEqual(
    JSON.parse(raw).layers.map(({ mediaType }: { mediaType: string }) => mediaType),
    [mediaTypes.higressSpec, mediaTypes.higressDoc, mediaTypes.higressDocZh, mediaTypes.ociTarGzip],
  );
  const copy = `oci:${join(root, "copied")}:small`;
  await runSkopeo("copy", "-q", "--src-tls-verify=false", target, copy);
  const again = await push("small:1", `${open.host}/plugins/small:1`);
  assert.deepEqual([again.isNew, again.digest, again.outcomes], [false, first.digest, []]);
  const other = await push("small:1", `${open.host}/plugins/small:2`);
  assert.deepEqual([other.isNew, other.outcomes, other.sent], [true, Array(5).fill("exists"), 0]);
});

test("the same input gives the same image", async () => {
  const again = join(root, "again");
  await writePluginImage(again, { repository: "large", tag: "1", wasm: large });
  const digestIn = (layout: string) => readLayout(layout).find(({ name }) => name === "large:1")?.descriptor;
  assert.equal(digestIn(again)?.digest, digestIn(root)?.digest);
});

test("blobs of another repository are mounted", async () => {
  const { digest } = await push("large:1", `${open.host}/first/large:1`);
  const mounted = await push("large:1", `${open.host}/second/large:1`, {}, { mountFrom: "first/large" });
  assert.deepEqual([mounted.digest, mounted.outcomes, mounted.sent], [digest, ["mounted", "mounted"], 0]);
  const unknown = await push("large:1", `${open.host}/third/large:1`, {}, { mountFrom: "no/such" });
  assert.deepEqual(unknown.outcomes, ["uploaded", "uploaded"]);
});

test("large blobs go in chunks", async (context) => {
  const before = await startFaultyRegistry(open.host, () => undefined);
  context.after(() => before.stop());
  const pushed = await push("large:1", `${before.host}/chunked/large:1`, {}, { chunkBytes: 50_000 });
  assert.equal(pushed.sent, pushed.bytes);
  assert.equal(before.asked.filter((each) => each.startsWith("PATCH")).length, 5);
  assert.deepEqual(await pulledModule(`${open.host}/chunked/large:1`), large);
});

const faults: readonly (readonly [what: string, method: string, fault: Fault, chunkBytes: number])[] = [
  ["the beginning is refused", "POST", 503, 1 << 20],
  ["the beginning is lost", "POST", "cut after", 1 << 20],
  ["a blob breaks off", "PUT", "cut within", 1 << 20],
  ["a blob is refused", "PUT", 500, 1 << 20],
  ["the answer to a blob is lost", "PUT", "cut after", 1 << 20],
  ["a chunk is refused", "PATCH", 502, 50_000],
  ["a chunk breaks off", "PATCH", "cut within", 50_000],
  ["the answer to a chunk is lost", "PATCH", "cut after", 50_000],
  ["the registry has forgotten the upload", "PATCH", 404, 50_000],
];
for (const [index, [what, method, fault, chunkBytes]] of faults.entries()) {
  test(`a push goes on when ${what}`, async (context) => {
    const faulty = await startFaultyRegistry(open.host, (asked, _, count) =>
      asked === method && count === (method === "PATCH" ? 2 : 1) ? fault : undefined,
    );
    context.after(() => faulty.stop());
    const repository = `faults/f${index}`;
    const pushed = await push("large:1", `${faulty.host}/${repository}:1`, {}, { chunkBytes });
    assert.deepEqual(pushed.outcomes, ["uploaded", "uploaded"]);
    assert.equal(pushed.sent, pushed.bytes);
    assert.deepEqual(await pulledModule(`${open.host}/${repository}:1`), large);
  });
}

test("a registry that stays broken is given up, with what it said", async (context) => {
  const faulty = await startFaultyRegistry(open.host, (method) => (method === "PUT" ? 500 : undefined));
  context.after(() => faulty.stop());
  await assert.rejects(
    push("large:1", `${faulty.host}/broken/a:1`, { maxAttempts: 2 }),
    refused(
      "registry",
      /^uploading sha256:.* to .*broken\/a:1: 500 Internal Server Error: the registry fails/,
    ),
  );
  assert.equal(faulty.asked.filter((each) => each.startsWith("PUT")).length, 2);
});

test("Basic authentication, over TLS", async (context) => {
  const tls = makeCertificate(root, "registry");
  const registry = await startDockerRegistry({ htpasswd: testerHtpasswd, tls });
  context.after(() => registry.stop());
  const { host } = registry;
  const connections = createConnections({
    authorities: new Map([[host, await readFile(tls.certificate, "utf8")]]),
  });
  const pushed = await push("small:1", `${host}/a:1`, { credentials, connections });
  assert.equal(pushed.isNew, true);
  assert.ok((await pulledModule(`${host}/a:1`, { credentials, connections })).length > 0);
  await assert.rejects(
    push("small:1", `${host}/b:1`, { connections }),
    refused("unauthorized", /401 Unauthorized.*: no credentials for host 127.*; log in$/),
  );
  const wrong = () => ({ username: "tester", password: "wrong" });
  await assert.rejects(
    push("small:1", `${host}/b:1`, { connections, credentials: wrong }),
    refused("unauthorized", /were refused; check them$/),
  );
});

test("bearer tokens are asked for pushing, once, and for what is mounted", async (context) => {
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const tokens = await startTokenServer({ user: "tester", password: "open-sesame", keys });
  context.after(() => tokens.stop());
  const registry = await startDockerRegistry({ token: tokens.registryConfig });
  context.after(() => registry.stop());
  await push("small:1", `${registry.host}/a:1`, { credentials });
  assert.equal(tokens.issued(), 1);
  const mounted = await push("small:1", `${registry.host}/b:1`, { credentials }, { mountFrom: "a" });
  assert.deepEqual(mounted.outcomes, Array(5).fill("mounted"));
  assert.equal(tokens.issued(), 2);
});

test("an index is pushed with its images, and pulled back byte for byte", async () => {
  const entries = readLayout(root).filter(({ name }) => name === "small:1" || name === "large:1");
  const manifests = entries.map(({ descriptor: { mediaType, digest, size } }) => ({
    mediaType,
    digest,
    size,
  }));
  const mediaType = mediaTypes.ociIndex;
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  await addToLayout(root, [], { descriptor, bytes }, "both:1");
  const pushed = await push("both:1", `${open.host}/both:1`);
  assert.equal(pushed.digest, descriptor.digest);
  const raw = await runSkopeo("inspect", "--tls-verify=false", "--raw", `docker://${open.host}/both:1`);
  assert.equal(digestOf(Buffer.from(raw)), descriptor.digest);
  const client = createRegistryClient({ credentials: () => undefined });
  const layout = join(root, "pulled");
  const pulled = await pullImage(client, parseReference(`${open.host}/both:1`), layout);
  assert.deepEqual(pulled, { digest: manifests[0]!.digest, name: "both:1" });
  const image = await findStoredImage(layout, "both:1");
  for (const blob of image.blobs) await image.read(blob);
});

test("an upload that is led elsewhere takes no credentials along", async (context) => {
  const seen: string[] = [];
  const note = (request: IncomingMessage) =>
    seen.push(`${request.method} ${request.headers.authorization === undefined ? "without" : "with"}`);
  const store = createServer((request, response) => {
    note(request);
    request.resume().on("end", () => response.writeHead(201).end());
  });
  const registry = createServer((request, response) => {
    note(request);
    request.resume();
    if (request.headers.authorization === undefined)
      return void response.writeHead(401, { "www-authenticate": 'Basic realm="a"' }).end();
    const location = `${urlOf(store)}/put?signature=a%2Fb`;
    const status = { HEAD: 404, POST: 202 }[request.method ?? ""] ?? 201;
    response.writeHead(status, status === 202 ? { location } : {}).end();
  });
  for (const server of [store, registry]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    context.after(() => server.close().closeAllConnections());
  }
  await push("small:1", `${new URL(urlOf(registry)).host}/a:1`, { credentials });
  const own = seen.filter((each) => each !== "PUT without");
  assert.equal(seen.length - own.length, 5);
  assert.deepEqual(
    own.filter((each) => each.endsWith("without")),
    ["HEAD without"],
  );
});

const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

test("what cannot be pushed", async (context) => {
  const other = `sha256:${"0".repeat(64)}`;
  await assert.rejects(
    push("small:1", `${open.host}/a@${other}`),
    refused("digest-mismatch", /cannot stand for the image with digest sha256:/),
  );
  const { digest } = await push("small:1", `${open.host}/a:1`);
  assert.equal((await push("small:1", `${open.host}/a@${digest}`)).isNew, false);
  await assert.rejects(findStoredImage(root), refused("not-found", /has \d: .*large:1.*--image NAME/));
  await assert.rejects(findStoredImage(root, "none:1"), refused("not-found", /expected one named none:1/));
  const ours = await createRegistryServer({ layouts: [join(root, "empty")] });
  context.after(() => ours.close());
  await assert.rejects(
    push("small:1", `127.0.0.1:${ours.port}/a:1`),
    refused("registry", /only serves images; push to another registry/),
  );
});
