import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runSkopeo } from "../../test/peers/docker-registry.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { SystemError } from "../system-error.ts";
import { blobPath, readLayout, writePluginImage } from "./image-layout.ts";
import { createRegistryServer, type RegistryServer } from "./registry-server.ts";

let root: string;
let server: RegistryServer;
let digest: string;
const first = () => join(root, "first");
const second = () => join(root, "second");

before(async () => {
  root = await mkdtemp(join(tmpdir(), "registry-server-"));
  server = await createRegistryServer({ layouts: [first(), second()] });
  ({ digest } = await writePluginImage(first(), {
    repository: "plugins/a",
    tag: "1",
    wasm: tinyModule("a"),
  }));
});
after(async () => {
  await server.close();
  await rm(root, { recursive: true });
});

const ask = (path: string, method = "GET") => fetch(`http://127.0.0.1:${server.port}${path}`, { method });

test("manifests by tag and digest, with GET and HEAD", async () => {
  for (const reference of ["1", digest]) {
    const answer = await ask(`/v2/plugins/a/manifests/${reference}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "application/vnd.oci.image.manifest.v1+json");
    assert.equal(answer.headers.get("docker-content-digest"), digest);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), await readFile(blobPath(first(), digest)));
    const head = await ask(`/v2/plugins/a/manifests/${reference}`, "HEAD");
    assert.equal(head.headers.get("docker-content-digest"), digest);
    assert.equal(head.headers.get("content-length"), answer.headers.get("content-length"));
    assert.equal(await head.text(), "");
  }
});

test("what is missing or not allowed is answered in the specification's form", async () => {
  const cases = [
    ["GET", "/v2/plugins/none/manifests/1", 404, "NAME_UNKNOWN"],
    ["GET", "/v2/plugins/a/manifests/2", 404, "MANIFEST_UNKNOWN"],
    ["GET", `/v2/plugins/a/blobs/sha256:${"0".repeat(64)}`, 404, "BLOB_UNKNOWN"],
    ["GET", "/v2/plugins/a/blobs/..%2f..%2findex.json", 404, "BLOB_UNKNOWN"],
    ["GET", "/elsewhere", 404, "NAME_UNKNOWN"],
    ["POST", "/v2/plugins/a/blobs/uploads/", 405, "UNSUPPORTED"],
    ["PUT", "/v2/plugins/a/manifests/1", 405, "UNSUPPORTED"],
    ["DELETE", `/v2/plugins/a/manifests/${digest}`, 405, "UNSUPPORTED"],
  ] as const;
  for (const [method, path, status, code] of cases) {
    const answer = await ask(path, method);
    assert.equal(answer.status, status, path);
    const { errors } = (await answer.json()) as { errors: { code: string; message: string }[] };
    assert.equal(errors[0]?.code, code, path);
    if (status === 405) assert.equal(answer.headers.get("allow"), "GET, HEAD");
  }
});

test("skopeo inspects and copies an image that was added while it runs", async () => {
  const added = await writePluginImage(second(), {
    repository: "plugins/b",
    tag: "1",
    wasm: tinyModule("b"),
    spec: "a: 1\n",
  });
  const image = `docker://127.0.0.1:${server.port}/plugins/b:1`;
  const { Digest } = JSON.parse(await runSkopeo("inspect", "--no-tags", "--tls-verify=false", image));
  assert.equal(Digest, added.digest);
  const target = join(root, "copied");
  await runSkopeo("copy", "-q", "--src-tls-verify=false", image, `oci:${target}:1`);
  assert.equal(readLayout(target)[0]?.descriptor.digest, added.digest);

  // Another tool names its entry by the tag alone.
  const other = await createRegistryServer({ layouts: [target] });
  try {
    const answer = await fetch(`http://127.0.0.1:${other.port}/v2/copied/manifests/1`);
    assert.equal(answer.headers.get("docker-content-digest"), added.digest);
  } finally {
    await other.close();
  }
});

test("lists of repositories and tags, in pages", async () => {
  await writePluginImage(first(), { repository: "lists/c", tag: "2", wasm: tinyModule("c") });
  await writePluginImage(second(), { repository: "lists/c", tag: "1", wasm: tinyModule("d") });
  await writePluginImage(second(), { repository: "lists/c", tag: "2", wasm: tinyModule("shadowed") });
  const tags = async (query: string) => (await ask(`/v2/lists/c/tags/list${query}`)).json();
  assert.deepEqual(await tags(""), { name: "lists/c", tags: ["1", "2"] });
  assert.deepEqual(await tags("?n=1"), { name: "lists/c", tags: ["1"] });
  assert.deepEqual(await tags("?last=1"), { name: "lists/c", tags: ["2"] });
  const { repositories } = (await (await ask("/v2/_catalog")).json()) as { repositories: string[] };
  assert.ok(repositories.includes("lists/c") && repositories.includes("plugins/a"));
  const { Tags } = JSON.parse(
    await runSkopeo("list-tags", "--tls-verify=false", `docker://127.0.0.1:${server.port}/lists/c`),
  );
  assert.deepEqual(Tags, ["1", "2"]);
});

test("a port that is taken is a SystemError", async () => {
  await assert.rejects(
    createRegistryServer({ layouts: [], port: server.port }),
    (error) =>
      error instanceof SystemError &&
      error.code === "network" &&
      /listening on 127\.0\.0\.1:/.test(error.message),
  );
});
