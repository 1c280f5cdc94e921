import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { runSkopeo } from "../../test/peers/docker-registry.ts";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { SystemError } from "../system-error.ts";
import { blobPath, readLayout, writePluginImage } from "./image-layout.ts";
import { parseManifest } from "./manifest.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "image-layout-"));
});
afterEach(() => rm(directory, { recursive: true }));

const image = {
  repository: "plugins/a",
  tag: "1.0.0",
  wasm: tinyModule("a"),
  spec: "apiVersion: 1\n",
  readme: "# a\n",
};

test("Higress's layout: spec, document and last the tar", async () => {
  const { digest } = await writePluginImage(directory, image);
  const manifest = parseManifest(await readFile(blobPath(directory, digest)), "", "the manifest");
  assert.ok(manifest.kind === "manifest");
  assert.deepEqual(
    manifest.layers.map(({ mediaType, annotations }) => [
      mediaType,
      annotations?.["org.opencontainers.image.title"],
    ]),
    [
      ["application/vnd.module.wasm.spec.v1+yaml", "spec.yaml"],
      ["application/vnd.module.wasm.doc.v1+markdown", "README.md"],
      ["application/vnd.oci.image.layer.v1.tar+gzip", "plugin.tar.gz"],
    ],
  );
});

test("skopeo finds the image by its name and accepts its configuration", async () => {
  const { digest } = await writePluginImage(directory, { ...image, spec: undefined, readme: undefined });
  const found = JSON.parse(await runSkopeo("inspect", `oci:${directory}:plugins/a:1.0.0`));
  assert.equal(found.Digest, digest);
  assert.equal(found.Architecture, "wasm");
});

test("the same plugin gives the same bytes, another gives others", async () => {
  const { digest } = await writePluginImage(directory, image);
  const second = await mkdtemp(join(tmpdir(), "image-layout-"));
  try {
    assert.deepEqual(await writePluginImage(second, image), { digest });
    assert.deepEqual(
      await readFile(join(second, "index.json")),
      await readFile(join(directory, "index.json")),
    );
    const other = await writePluginImage(second, { ...image, wasm: tinyModule("b") });
    assert.notEqual(other.digest, digest);
  } finally {
    await rm(second, { recursive: true });
  }
});

test("a name is replaced, others stay, also when many are written at once", async () => {
  const tags = Array.from({ length: 8 }, (_, index) => `v${index}`);
  await Promise.all(tags.map((tag) => writePluginImage(directory, { ...image, tag })));
  const { digest } = await writePluginImage(directory, { ...image, tag: "v3", wasm: tinyModule("b") });
  const entries = readLayout(directory);
  assert.deepEqual(
    entries.map(({ name }) => name).sort(),
    tags.map((tag) => `plugins/a:${tag}`),
  );
  assert.equal(entries.find(({ name }) => name === "plugins/a:v3")?.descriptor.digest, digest);
  const files = await readdir(directory, { recursive: true });
  assert.deepEqual(
    files.filter((file) => file.endsWith(".tmp")),
    [],
  );
});

test("what cannot be an image is refused before anything is written", async () => {
  const isRefused = (code: string) => (error: unknown) => error instanceof SystemError && error.code === code;
  await assert.rejects(
    writePluginImage(directory, { ...image, repository: "A" }),
    isRefused("reference-invalid"),
  );
  await assert.rejects(writePluginImage(directory, { ...image, tag: "a:b" }), isRefused("reference-invalid"));
  await assert.rejects(
    writePluginImage(directory, { ...image, wasm: Buffer.from("no") }),
    isRefused("module-invalid"),
  );
  assert.deepEqual(await readdir(directory), []);
});

test("a broken index.json is reported and stays", async () => {
  await writeFile(join(directory, "index.json"), "{");
  await assert.rejects(
    writePluginImage(directory, image),
    (error) =>
      error instanceof SystemError && error.code === "disk" && /reading .*index\.json/.test(error.message),
  );
  assert.equal(await readFile(join(directory, "index.json"), "utf8"), "{");
});
