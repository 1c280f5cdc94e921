import { digestOf } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/manifest.ts";

export interface PushedImage {
  readonly repository: string;
  readonly tag: string;
  readonly layer: Uint8Array;
  /** `application/wasm` unless given. */
  readonly mediaType?: string;
}

/** Pushes an image with one layer by the distribution API: skopeo takes a second for each, and repairs what is to stay broken. */
export async function pushImage(
  host: string,
  { repository, tag, layer, mediaType = "application/wasm" }: PushedImage,
): Promise<{ readonly manifest: string; readonly layer: string }> {
  const config = Buffer.from("{}");
  const base = `http://${host}/v2/${repository}`;
  for (const blob of [config, layer]) await pushBlob(base, blob);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length },
      layers: [{ mediaType, digest: digestOf(layer), size: layer.length }],
    }),
  );
  const headers = { "content-type": mediaTypes.ociManifest };
  await send(`${base}/manifests/${tag}`, { method: "PUT", headers, body: manifest });
  return { manifest: digestOf(manifest), layer: digestOf(layer) };
}

async function pushBlob(base: string, bytes: Uint8Array): Promise<void> {
  const { headers } = await send(`${base}/blobs/uploads/`, { method: "POST" });
  const upload = new URL(headers.get("location") ?? "", base);
  upload.searchParams.set("digest", digestOf(bytes));
  await send(upload.href, {
    method: "PUT",
    headers: { "content-type": "application/octet-stream" },
    body: Buffer.from(bytes),
  });
}

async function send(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  const body = await response.text();
  if (response.ok) return response;
  throw new Error(`${init.method} ${url} answered ${response.status}: ${body}`);
}
