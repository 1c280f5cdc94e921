import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { SystemError } from "../system-error.ts";
import { digestOf } from "./digest.ts";
import { blobPath } from "./image-layout.ts";
import { type Descriptor, mediaTypes } from "./manifest.ts";
import { pullModule } from "./pull-module.ts";
import { parseReference } from "./reference.ts";
import { createRegistryClient } from "./registry-client.ts";
import { createRegistryServer, type RegistryServer } from "./registry-server.ts";
import { writeFileAtomically } from "./write-file.ts";

const wasm = tinyModule("pulled");
let root: string;
let server: RegistryServer;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "pull-module-"));
  server = await createRegistryServer({ layouts: [root] });
});
after(async () => {
  await server.close();
  await rm(root, { recursive: true });
});

/** Writes layers, an image of them and an index.json that names it; pulls it from the built-in registry. */
async function pullImage(layers: readonly (readonly [mediaType: string, bytes: Uint8Array])[]) {
  return pullDescriptor(await writeImage(layers));
}

async function pullDescriptor(image: Descriptor) {
  const annotations = { "org.opencontainers.image.ref.name": "made/by-hand:1" };
  const index = { schemaVersion: 2, manifests: [{ ...image, annotations }] };
  await writeFileAtomically(join(root, "index.json"), Buffer.from(JSON.stringify(index)));
  const client = createRegistryClient({ credentials: () => undefined });
  const reference = parseReference(`127.0.0.1:${server.port}/made/by-hand:1`);
  const resolved = await client.resolve(reference);
  return { ...resolved, bytes: await pullModule(client, reference, resolved, { maxBytes: 1 << 20 }) };
}

async function writeImage(
  layers: readonly (readonly [mediaType: string, bytes: Uint8Array])[],
): Promise<Descriptor> {
  const descriptors = await Promise.all(layers.map(([mediaType, bytes]) => writeBlob(mediaType, bytes)));
  const config = await writeBlob(mediaTypes.ociConfig, Buffer.from("{}"));
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: descriptors };
  return writeBlob(mediaTypes.ociManifest, Buffer.from(JSON.stringify(manifest)));
}

async function writeBlob(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
  const digest = digestOf(bytes);
  await writeFileAtomically(blobPath(root, digest), bytes);
  return { mediaType, digest, size: bytes.length };
}

function tarOf(body: Uint8Array, name = "plugin.wasm") {
  return packTar([{ header: { name, size: body.length }, body }]);
}

const isRefused = (message: RegExp) => (error: unknown) =>
  error instanceof SystemError && error.code === "module-invalid" && message.test(error.message);

const text = (value: string) => Buffer.from(value);

test("every layout of plugin images", async () => {
  const tar = await tarOf(wasm);
  const layouts: readonly (readonly (readonly [string, Uint8Array])[])[] = [
    [["application/vnd.docker.image.rootfs.diff.tar.gzip", gzipSync(tar)]],
    [["application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar)]],
    [["application/vnd.oci.image.layer.v1.tar", tar]],
    [
      ["application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(await tarOf(tinyModule("below")))],
      ["application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar)],
    ],
    [
      ["application/vnd.module.wasm.spec.v1+yaml", text("a: 1")],
      ["application/vnd.module.wasm.doc.v1+markdown", text("# a")],
      ["application/vnd.module.wasm.doc.v1.icon+png", text("icon")],
      ["application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar)],
    ],
    [["application/wasm", wasm]],
    [
      ["application/vnd.wasm.content.layer.v1+wasm", wasm],
      ["application/vnd.wasm.config.v1+json", text("{}")],
    ],
    [
      ["application/vnd.module.wasm.config.v1+json", text("{}")],
      ["application/vnd.module.wasm.content.layer.v1+wasm", wasm],
      ["text/plain", text("license")],
    ],
  ];
  for (const layers of layouts) {
    const { bytes } = await pullImage(layers);
    assert.deepEqual(Buffer.from(bytes), Buffer.from(wasm), layers.map(([type]) => type).join());
  }
});

test("an image that is none of a plugin names what it has", async () => {
  await assert.rejects(
    pullImage([
      ["text/plain", text("a")],
      ["text/html", text("b")],
    ]),
    isRefused(
      /made\/by-hand:1 is no plugin image: .* has layers of text\/plain, text\/html; expected a last layer/,
    ),
  );
  await assert.rejects(pullImage([]), isRefused(/has no layers; expected/));
  const tar = await tarOf(wasm, "other.wasm");
  await assert.rejects(
    pullImage([["application/vnd.oci.image.layer.v1.tar", tar]]),
    isRefused(
      /layer sha256:.* of .*made\/by-hand:1: the tar holds other\.wasm; expected a file named plugin\.wasm/,
    ),
  );
  await assert.rejects(
    pullImage([["application/wasm", text("no module")]]),
    isRefused(/\(application\/wasm\) of .*9 bytes/),
  );
});

test("an index: the entry without a platform, else the first image that is no attestation", async () => {
  const right = await writeImage([["application/wasm", wasm]]);
  const wrong = await writeImage([["application/wasm", tinyModule("wrong")]]);
  const attestation = {
    ...wrong,
    platform: { os: "unknown", architecture: "unknown" },
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  };
  const linux = (image: Descriptor, architecture: string) => ({
    ...image,
    platform: { os: "linux", architecture },
  });
  for (const manifests of [
    [linux(wrong, "amd64"), right],
    [attestation, linux(right, "amd64"), linux(wrong, "arm64")],
    [linux(wrong, "amd64"), linux(right, "wasm")],
  ]) {
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
    const descriptor = await writeBlob(mediaTypes.ociIndex, Buffer.from(JSON.stringify(index)));
    const { bytes, digest, indexDigest } = await pullDescriptor(descriptor);
    assert.deepEqual(Buffer.from(bytes), Buffer.from(wasm));
    assert.deepEqual([digest, indexDigest], [right.digest, descriptor.digest]);
  }
  const none = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [attestation] };
  await assert.rejects(
    pullDescriptor(await writeBlob(mediaTypes.ociIndex, Buffer.from(JSON.stringify(none)))),
    /is an index with 1 entries, none of them an image/,
  );
});
