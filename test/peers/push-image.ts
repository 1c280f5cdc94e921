import { digestOf } from "../../src/oci/digest.ts";
import { type Descriptor, mediaTypes } from "../../src/oci/manifest.ts";

/**
 * Pushes images to one repository of a registry as they are, whatever is in them: skopeo takes a second for each, and
 * repairs what is to stay broken.
 */
export interface ImagePusher {
  blob(mediaType: string, bytes: Uint8Array): Promise<Descriptor>;
  /** Pushes a manifest or an index by its digest, and under a tag if there is one. */
  manifest(content: ManifestContent, tag?: string): Promise<Descriptor>;
  /** Pushes an image of these layers. */
  image(layers: readonly Layer[], options?: ImageOptions): Promise<Descriptor>;
}

/** An image manifest or an index, as JSON. */
export interface ManifestContent extends Readonly<Record<string, unknown>> {
  readonly mediaType: string;
}

export type Layer = readonly [mediaType: string, bytes: Uint8Array];

export interface ImageOptions {
  readonly tag?: string;
  /** An OCI image unless given. */
  readonly mediaType?: string;
  readonly configType?: string;
}

/** For a registry without authentication, as `host:port`. */
export function createImagePusher(registry: string, repository: string): ImagePusher {
  const base = `http://${registry}/v2/${repository}`;

  async function blob(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
    const digest = digestOf(bytes);
    const begun = await expectStatus(202, await fetch(`${base}/blobs/uploads/`, { method: "POST" }));
    const upload = new URL(begun.headers.get("location")!, base);
    upload.searchParams.set("digest", digest);
    await expectStatus(201, await fetch(upload, { method: "PUT", body: Uint8Array.from(bytes) }));
    return { mediaType, digest, size: bytes.length };
  }

  async function manifest(content: ManifestContent, tag?: string): Promise<Descriptor> {
    const { mediaType } = content;
    const body = Buffer.from(JSON.stringify(content));
    const digest = digestOf(body);
    for (const name of tag === undefined ? [digest] : [digest, tag]) {
      const headers = { "content-type": mediaType };
      await expectStatus(201, await fetch(`${base}/manifests/${name}`, { method: "PUT", body, headers }));
    }
    return { mediaType, digest, size: body.length };
  }

  return {
    blob,
    manifest,
    async image(layers, { tag, mediaType = mediaTypes.ociManifest, configType = mediaTypes.ociConfig } = {}) {
      const config = await blob(configType, Buffer.from("{}"));
      const descriptors: Descriptor[] = [];
      for (const [type, bytes] of layers) descriptors.push(await blob(type, bytes));
      return manifest({ schemaVersion: 2, mediaType, config, layers: descriptors }, tag);
    },
  };
}

export interface PushedImage {
  readonly repository: string;
  readonly tag: string;
  readonly layer: Uint8Array;
  /** Of the layer; `application/wasm` unless given. */
  readonly mediaType?: string;
}

/** Pushes an image with one layer. Gives the digests of both. */
export async function pushImage(
  registry: string,
  { repository, tag, layer, mediaType = "application/wasm" }: PushedImage,
): Promise<{ readonly manifest: string; readonly layer: string }> {
  const { digest } = await createImagePusher(registry, repository).image([[mediaType, layer]], { tag });
  return { manifest: digest, layer: digestOf(layer) };
}

async function expectStatus(status: number, response: Response): Promise<Response> {
  if (response.status === status) return response;
  throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
}
