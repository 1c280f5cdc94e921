import { SystemError } from "../system-error.ts";
import { isDigest } from "./reference.ts";

export const mediaTypes = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociTarGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  higressSpec: "application/vnd.module.wasm.spec.v1+yaml",
  higressDoc: "application/vnd.module.wasm.doc.v1+markdown",
  higressDocEn: "application/vnd.module.wasm.doc.v1.en+markdown",
  higressDocZh: "application/vnd.module.wasm.doc.v1.zh+markdown",
  higressIcon: "application/vnd.module.wasm.icon.v1+png",
} as const;

/** Names content by what it is, how long it is and its digest. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os?: string; readonly architecture?: string };
}

/** An OCI image manifest or a Docker schema 2 one; they differ in media types only. */
export interface ImageManifest {
  readonly kind: "manifest";
  readonly mediaType: string;
  /** What there is beside the layers; every image has it, an artifact may not. */
  readonly config?: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An OCI index or a Docker manifest list. */
export interface ImageIndex {
  readonly kind: "index";
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}

/**
 * Parses a manifest or an index. `mediaType` is what the server called it, `what` begins messages.
 * @throws SystemError `registry`
 */
export function parseManifest(
  bytes: Uint8Array,
  mediaType: string,
  what: string,
): ImageManifest | ImageIndex {
  const value = parseObject(bytes, what);
  const type = typeof value.mediaType === "string" ? value.mediaType : mediaType;
  if (value.schemaVersion === 1) {
    throw new SystemError(
      "registry",
      `${what}: Docker schema 1 is not supported; push the image again with a current tool`,
    );
  }
  if (Array.isArray(value.manifests)) {
    return { kind: "index", mediaType: type, manifests: readDescriptors(value.manifests, "manifests", what) };
  }
  if (Array.isArray(value.layers)) {
    const annotations = readStrings(value.annotations);
    return {
      kind: "manifest",
      mediaType: type,
      config: readDescriptor(value.config),
      layers: readDescriptors(value.layers, "layers", what),
      annotations,
    };
  }
  throw new SystemError(
    "registry",
    `${what}: found ${type || "no media type"} with neither layers nor manifests; expected an image manifest or index`,
  );
}

/**
 * The image of an index that holds a plugin. Modules run on every platform, so the entry without one comes first, then
 * one for Wasm, then the first that is not a build tool's attestation.
 */
export function chooseImage({ manifests }: ImageIndex): Descriptor | undefined {
  const images = manifests.filter((entry) => !isAttestation(entry));
  return (
    images.find(({ platform }) => platform === undefined) ??
    images.find(({ platform }) => platform?.architecture === "wasm") ??
    images[0]
  );
}

function isAttestation({ annotations, platform }: Descriptor): boolean {
  if (annotations?.["vnd.docker.reference.type"] === "attestation-manifest") return true;
  return platform?.os === "unknown" && platform.architecture === "unknown";
}

function readDescriptors(values: readonly unknown[], field: string, what: string): readonly Descriptor[] {
  return values.map((value, index) => {
    const descriptor = readDescriptor(value);
    if (descriptor) return descriptor;
    throw new SystemError(
      "registry",
      `${what}: ${field}[${index}] is no descriptor with mediaType, sha256 digest and size`,
    );
  });
}

/** Undefined for what is no descriptor with a sha256 digest. */
export function readDescriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value)) return undefined;
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== "string" || typeof digest !== "string" || !isDigest(digest)) return undefined;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return undefined;
  const annotations = readStrings(value.annotations);
  const platform = isObject(value.platform) ? readStrings(value.platform) : undefined;
  return { mediaType, digest, size, ...(annotations && { annotations }), ...(platform && { platform }) };
}

function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (isObject(value)) return value;
  } catch (error) {
    throw new SystemError("registry", `${what}: the answer is not JSON`, error);
  }
  throw new SystemError("registry", `${what}: the answer is no JSON object`);
}

function readStrings(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
