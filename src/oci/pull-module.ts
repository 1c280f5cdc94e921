import { SystemError } from "../system-error.ts";
import type { Descriptor, ImageManifest } from "./manifest.ts";
import { formatReference, type Reference } from "./reference.ts";
import type { PullOptions, RegistryClient, ResolvedImage } from "./registry-client.ts";
import { checkModule, unpackModule } from "./unpack-module.ts";

const moduleTypes = new Set([
  "application/vnd.module.wasm.content.layer.v1+wasm",
  "application/vnd.wasm.content.layer.v1+wasm",
  "application/wasm",
]);

const tarTypes = new Set([
  "application/vnd.docker.image.rootfs.diff.tar",
  "application/vnd.docker.image.rootfs.diff.tar.gzip",
  "application/vnd.docker.image.rootfs.diff.tar.zstd",
  "application/vnd.oci.image.layer.v1.tar",
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.oci.image.layer.v1.tar+zstd",
]);

/**
 * Fetches the Wasm module of an image that was resolved. At most `maxBytes` of it, unpacked.
 * @throws SystemError `module-invalid`, and as `RegistryClient` does
 */
export async function pullModule(
  client: RegistryClient,
  reference: Reference,
  { manifest }: ResolvedImage,
  { maxBytes, ...options }: PullOptions & { readonly maxBytes: number },
): Promise<Uint8Array> {
  const name = formatReference(reference);
  const layer = chooseLayer(manifest, name);
  const bytes = await client.fetchBlob(reference, layer, options);
  const what = `layer ${layer.digest} (${layer.mediaType}) of ${name}`;
  if (!moduleTypes.has(layer.mediaType)) return unpackModule(bytes, { what, maxBytes, tarRule: "named" });
  if (bytes.length > maxBytes)
    throw new SystemError("too-large", `${what}: it has more than ${maxBytes} bytes`);
  checkModule(bytes, what);
  return bytes;
}

/**
 * The layer with the module: one that says so by its media type, wherever it stands, or else the last one, a tar.
 * @throws SystemError `module-invalid`
 */
export function chooseLayer({ mediaType, layers }: ImageManifest, name: string): Descriptor {
  // Unlike Istio: it takes a module layer only as one of exactly two layers.
  const module = layers.find((layer) => moduleTypes.has(layer.mediaType));
  if (module) return module;
  const last = layers.at(-1);
  if (last && tarTypes.has(last.mediaType)) return last;
  const found =
    layers.length === 0 ? "no layers" : `layers of ${layers.map((layer) => layer.mediaType).join(", ")}`;
  throw new SystemError(
    "module-invalid",
    `${name} is no plugin image: its manifest (${mediaType}) has ${found}; ` +
      "expected a last layer that is a tar with plugin.wasm, or a layer of application/vnd.module.wasm.content.layer.v1+wasm",
  );
}
