import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { type Descriptor, mediaTypes } from "../../src/oci/manifest.ts";
import { runSkopeo } from "../peers/docker-registry.ts";
import { createImagePusher, type ImageOptions, type ImagePusher, type Layer } from "../peers/push-image.ts";
import { tinyModule } from "../peers/tiny-module.ts";
import { zstdTar } from "../peers/zstd-tar.ts";

/** A layout in which plugins are published, and how it comes into a registry. */
export interface PluginLayout {
  readonly name: string;
  readonly module: Uint8Array;
  /** Pushes it as REPOSITORY:1 to a registry on loopback without authentication. */
  push(registry: string, repository: string): Promise<unknown>;
}

export const dockerTarGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const dockerConfig = "application/vnd.docker.container.image.v1+json";
const ociTar = "application/vnd.oci.image.layer.v1.tar";
const moduleTypes = [
  "application/vnd.module.wasm.content.layer.v1+wasm",
  "application/vnd.wasm.content.layer.v1+wasm",
  "application/wasm",
];
const text = (value: string) => Buffer.from(value);

/** A tar with one file. */
export function tarOf(body: Uint8Array, name = "plugin.wasm"): Promise<Uint8Array> {
  return packTar([{ header: { name, size: body.length }, body }]);
}

const gzippedTar = async (module: Uint8Array) => gzipSync(await tarOf(module));

/** A layout of one image that is pushed as it is. */
function imageLayout(
  name: string,
  layers: (module: Uint8Array) => Promise<readonly Layer[]> | readonly Layer[],
  options: ImageOptions = {},
  module = tinyModule(name),
): PluginLayout {
  const push = async (registry: string, repository: string) =>
    createImagePusher(registry, repository).image(await layers(module), { ...options, tag: "1" });
  return { name, module, push };
}

const docker = { mediaType: mediaTypes.dockerManifest, configType: dockerConfig };
const dockerImage = imageLayout(
  "Docker schema 2",
  async (module) => [
    [dockerTarGzip, await gzippedTar(tinyModule("of a layer below"))],
    [dockerTarGzip, await gzippedTar(module)],
  ],
  docker,
);
const ociImage = imageLayout("OCI image", async (module) => [
  [mediaTypes.ociTarGzip, await gzippedTar(module)],
]);

const plainTar = imageLayout("OCI image, plain tar", async (module) => [[ociTar, await tarOf(module)]]);
const zstd = imageLayout(
  "OCI image, zstd",
  () => [[`${ociTar}+zstd`, Buffer.from(zstdTar, "base64")]],
  {},
  tinyModule("zstd"),
);

const artifacts = moduleTypes.flatMap((type) => {
  const config: Layer = ["application/vnd.module.wasm.config.v1+json", text("{}")];
  const license: Layer = ["text/plain", text("license")];
  const orders: Record<string, (module: Layer) => readonly Layer[]> = {
    alone: (module) => [module],
    first: (module) => [module, config],
    "in the middle": (module) => [config, module, license],
    last: (module) => [license, config, module],
  };
  return Object.entries(orders).map(([order, layers]) =>
    imageLayout(`artifact, ${type} ${order}`, (module) => layers([type, module])),
  );
});

/** What `buildx` makes of one Dockerfile for two platforms; attestations are in OCI indexes only. */
function indexLayout(name: string, mediaType: string, options: ImageOptions): PluginLayout {
  const module = tinyModule(name);
  const isDocker = options === docker;
  async function push(registry: string, repository: string): Promise<void> {
    const pusher = createImagePusher(registry, repository);
    const layerType = isDocker ? dockerTarGzip : mediaTypes.ociTarGzip;
    const image = await pusher.image([[layerType, await gzippedTar(module)]], options);
    const platform = (architecture: string) => ({ ...image, platform: { os: "linux", architecture } });
    const attestations = isDocker ? [] : [await pushAttestation(pusher, image)];
    const manifests = [...attestations, platform("amd64"), platform("arm64")];
    await pusher.manifest({ schemaVersion: 2, mediaType, manifests }, "1");
  }
  return { name, module, push };
}

/** Pushes a provenance as buildx attaches it; gives its entry in an index. */
export async function pushAttestation(pusher: ImagePusher, image?: Descriptor): Promise<Descriptor> {
  const attestation = await pusher.image([["application/vnd.in-toto+json", text("{}")]]);
  const annotations = {
    "vnd.docker.reference.type": "attestation-manifest",
    ...(image && { "vnd.docker.reference.digest": image.digest }),
  };
  return { ...attestation, platform: { os: "unknown", architecture: "unknown" }, annotations };
}

const index = indexLayout("index with attestations", mediaTypes.ociIndex, {});
const dockerList = indexLayout("Docker manifest list", mediaTypes.dockerList, docker);

const packed: PluginLayout = {
  name: "our packer",
  module: tinyModule("our packer"),
  async push(registry, repository) {
    const directory = await mkdtemp(join(tmpdir(), "packed-"));
    const image = { tag: "1", wasm: packed.module, spec: "a: 1\n", readme: "# a\n" };
    await writePluginImage(directory, { repository, ...image });
    await copy(`oci:${directory}:${repository}:1`, `${registry}/${repository}:1`);
    await rm(directory, { recursive: true });
  },
};

const higress = imageLayout("Higress' layout with an icon", async (module) => [
  [mediaTypes.higressSpec, text("a: 1\n")],
  [mediaTypes.higressDoc, text("# a\n")],
  [mediaTypes.higressIcon, text("icon")],
  [mediaTypes.ociTarGzip, await gzippedTar(module)],
]);

function copy(from: string, to: string, ...flags: readonly string[]): Promise<string> {
  const tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
  return runSkopeo(
    "copy",
    "-q",
    ...(from.startsWith("docker:") ? tls : tls.slice(1)),
    ...flags,
    from,
    `docker://${to}`,
  );
}

/** A layout as skopeo copies it. */
function copied(layout: PluginLayout, ...flags: readonly string[]): PluginLayout {
  return {
    name: `${layout.name}, copied by skopeo ${flags.join(" ")}`,
    module: layout.module,
    async push(registry, repository) {
      await layout.push(registry, `${repository}/from`);
      await copy(`docker://${registry}/${repository}/from:1`, `${registry}/${repository}:1`, ...flags);
    },
  };
}

const copies: readonly PluginLayout[] = [
  ...[dockerImage, ociImage].flatMap((layout) =>
    ["oci", "v2s2"].map((format) => copied(layout, "--format", format)),
  ),
  copied(higress, "--format", "oci"),
  copied(packed, "--format", "oci"),
  copied(plainTar),
  copied(plainTar, "--dest-compress-format", "zstd"),
  copied(index, "--all"),
  ...["oci", "v2s2"].map((format) => copied(dockerList, "--all", "--format", format)),
];

/** Every layout in which plugins are published. */
export const pluginLayouts: readonly PluginLayout[] = [
  ...[dockerImage, ociImage, plainTar, zstd, index, dockerList, packed, higress],
  ...artifacts,
  ...copies,
];
