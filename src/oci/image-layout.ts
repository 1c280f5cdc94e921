import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { SystemError } from "../system-error.ts";
import { digestOf } from "./digest.ts";
import { type Descriptor, mediaTypes, readDescriptor } from "./manifest.ts";
import { isRepository, isTag } from "./reference.ts";
import { checkModule } from "./unpack-module.ts";
import { writeFileAtomically } from "./write-file.ts";

/** A plugin as it is published. */
export interface PluginImage {
  readonly repository: string;
  readonly tag: string;
  readonly wasm: Uint8Array;
  /** The text of spec.yaml. */
  readonly spec?: string;
  /** The text of README.md. */
  readonly readme?: string;
  /** The same for readers of one language. */
  readonly readmes?: { readonly en?: string; readonly zh?: string };
  /** A PNG that consoles show. */
  readonly icon?: Uint8Array;
}

/** One entry of a layout's index.json. */
export interface LayoutEntry {
  readonly descriptor: Descriptor;
  /** `repository:tag`, or what another tool wrote there. */
  readonly name?: string;
}

/** A blob, or a manifest, that goes into a layout. */
export interface LayoutBlob {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

interface Content extends LayoutBlob {
  /** The digest of what the layer is uncompressed. */
  readonly diffId: string;
}

const nameAnnotation = "org.opencontainers.image.ref.name";
const titleAnnotation = "org.opencontainers.image.title";
const maxIndexBytes = 4 << 20;
/** By directory: the last write that was begun, so that several at once in one process do not lose each other's entries. */
const writes = new Map<string, Promise<unknown>>();

/**
 * Adds a plugin image to an OCI image layout directory, in the layout that Higress pushes: spec, documents, icon and, last,
 * `plugin.tar.gz`. The same input gives the same bytes. An image of the same repository and tag is replaced.
 * @returns the digest of the manifest
 * @throws SystemError `disk`, `module-invalid`, `reference-invalid`
 */
export async function writePluginImage(directory: string, image: PluginImage): Promise<{ digest: string }> {
  const name = imageName(image);
  checkModule(image.wasm, `plugin image ${name}`);
  const layers = await packLayers(image);
  const config = jsonContent(mediaTypes.ociConfig, configOf(layers));
  const manifest = jsonContent(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  });
  await addToLayout(directory, [...layers, config], manifest, name);
  return { digest: manifest.descriptor.digest };
}

/**
 * Adds an image, as it is, to an OCI image layout directory. One of the same name is replaced.
 * @throws SystemError `disk`
 */
export async function addToLayout(
  directory: string,
  blobs: readonly LayoutBlob[],
  manifest: LayoutBlob,
  name: string,
): Promise<void> {
  try {
    for (const { descriptor, bytes } of [...blobs, manifest]) {
      await writeFileAtomically(blobPath(directory, descriptor.digest), bytes);
    }
    await inTurn(resolve(directory), () => addToIndex(directory, manifest.descriptor, name));
  } catch (error) {
    throw SystemError.from(error, "disk", `writing plugin image ${name} to ${directory}`);
  }
}

/** Reads a layout's index.json; [] where there is none. Entries that are no descriptors are left out. */
// In one turn: with `up` a gateway may be serving in this thread, and each wait would be for a turn full of its requests.
export function readLayout(directory: string): readonly LayoutEntry[] {
  return readIndex(directory).flatMap((value) => {
    const descriptor = readDescriptor(value);
    return descriptor ? [{ descriptor, name: descriptor.annotations?.[nameAnnotation] }] : [];
  });
}

/** The name of the file that a layer is, where it says so. */
export function titleOf({ annotations }: Descriptor): string | undefined {
  return annotations?.[titleAnnotation];
}

/** The file of a blob. The digest must have been checked to be one. */
export function blobPath(directory: string, digest: string): string {
  return join(directory, "blobs", ...digest.split(":"));
}

function imageName({ repository, tag }: PluginImage): string {
  if (isRepository(repository) && isTag(tag)) return `${repository}:${tag}`;
  throw new SystemError(
    "reference-invalid",
    `an image cannot be named ${JSON.stringify(`${repository}:${tag}`)}; expected repository:tag, the repository in lower case`,
  );
}

async function packLayers({
  wasm,
  spec,
  readme,
  readmes = {},
  icon,
}: PluginImage): Promise<readonly Content[]> {
  const files = [
    [mediaTypes.higressSpec, "spec.yaml", spec],
    [mediaTypes.higressDoc, "README.md", readme],
    [mediaTypes.higressDocZh, "README_ZH.md", readmes.zh],
    [mediaTypes.higressDocEn, "README_EN.md", readmes.en],
    [mediaTypes.higressIcon, "icon.png", icon],
  ] as const;
  const layers = files.flatMap(([type, title, content]) =>
    content === undefined ? [] : [fileLayer(type, title, content)],
  );
  return [...layers, await moduleLayer(wasm)];
}

function fileLayer(mediaType: string, title: string, content: string | Uint8Array): Content {
  const bytes = Buffer.from(content as string);
  return layerOf(mediaType, title, bytes, digestOf(bytes));
}

async function moduleLayer(wasm: Uint8Array): Promise<Content> {
  const header = { name: "plugin.wasm", size: wasm.length, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 };
  const tar = await packTar([{ header, body: wasm }]);
  const bytes = gzipSync(tar, { level: 9 });
  // zlib names the operating system in the tenth byte; 255 is "unknown".
  bytes[9] = 255;
  return layerOf(mediaTypes.ociTarGzip, "plugin.tar.gz", bytes, digestOf(tar));
}

function layerOf(mediaType: string, title: string, bytes: Uint8Array, diffId: string): Content {
  const annotations = { [titleAnnotation]: title };
  return {
    descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length, annotations },
    bytes,
    diffId,
  };
}

function configOf(layers: readonly Content[]): object {
  const rootfs = { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) };
  return { architecture: "wasm", os: "wasip1", config: {}, rootfs };
}

function jsonContent(mediaType: string, value: object): Content {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = digestOf(bytes);
  return { descriptor: { mediaType, digest, size: bytes.length }, bytes, diffId: digest };
}

async function addToIndex(directory: string, descriptor: Descriptor, name: string): Promise<void> {
  const others = readIndex(directory).filter((entry) => nameOf(entry) !== name);
  const manifests = [...others, { ...descriptor, annotations: { [nameAnnotation]: name } }];
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  await writeFileAtomically(join(directory, "oci-layout"), Buffer.from(`{"imageLayoutVersion":"1.0.0"}`));
  await writeFileAtomically(join(directory, "index.json"), Buffer.from(JSON.stringify(index, undefined, 2)));
}

function nameOf(entry: unknown): string | undefined {
  return readDescriptor(entry)?.annotations?.[nameAnnotation];
}

function readIndex(directory: string): readonly unknown[] {
  const file = join(directory, "index.json");
  try {
    const bytes = readFileSync(file);
    if (bytes.length > maxIndexBytes)
      throw new Error(`it has ${bytes.length} bytes; at most ${maxIndexBytes} are read`);
    const { manifests } = JSON.parse(bytes.toString()) as { manifests?: unknown };
    return Array.isArray(manifests) ? manifests : [];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw SystemError.from(error, "disk", `reading ${file}`);
  }
}

async function inTurn<T>(key: string, write: () => Promise<T>): Promise<T> {
  const before = writes.get(key) ?? Promise.resolve();
  const turn = before.catch(() => undefined).then(write);
  writes.set(key, turn);
  try {
    return await turn;
  } finally {
    if (writes.get(key) === turn) writes.delete(key);
  }
}
