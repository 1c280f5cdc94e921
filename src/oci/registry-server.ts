import { once } from "node:events";
import { createReadStream } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { errorText, SystemError } from "../system-error.ts";
import { findRepositories, openBlob, openManifest, type Repository } from "./layout-registry.ts";

export interface RegistryServerOptions {
  /** OCI image layout directories, which may not exist yet. Of images with the same name the first one's is served. */
  readonly layouts: readonly string[];
  /** 127.0.0.1 unless given. */
  readonly bind?: string;
  /** 0, for a free one, unless given. */
  readonly port?: number;
  /** Hears of each request that was answered. */
  readonly onRequest?: (method: string, path: string, status: number) => void;
}

export interface RegistryServer {
  readonly port: number;
  close(): Promise<void>;
}

/** An answer that is no content: the distribution API's error form. */
interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Serves image layouts over the OCI distribution API, reading only. Looks into index.json at each request, so what is
 * added to a layout can be pulled at once.
 * @throws SystemError `network` when it cannot listen
 */
export async function createRegistryServer(options: RegistryServerOptions): Promise<RegistryServer> {
  const { bind = "127.0.0.1", port = 0, layouts, onRequest } = options;
  const server = createServer(async (request, response) => {
    await answer(layouts, request, response);
    onRequest?.(request.method ?? "", request.url ?? "", response.statusCode);
  });
  server.listen(port, bind);
  await once(server, "listening").catch((error) => {
    throw SystemError.from(error, "network", `listening on ${bind}:${port} for the registry`);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  layouts: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader("Docker-Distribution-API-Version", "registry/2.0");
  try {
    const refusal = await route(layouts, request, response);
    if (refusal) refuse(response, refusal);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else refuse(response, { status: 500, code: "UNKNOWN", message: errorText(error) });
  }
}

async function route(
  layouts: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Refusal | undefined> {
  if (request.method !== "GET" && request.method !== "HEAD") return readOnly;
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://registry");
  if (/^\/v2\/?$/.test(pathname)) return sendJson(response, {});
  const repositories = findRepositories(layouts);
  if (pathname === "/v2/_catalog") {
    return sendJson(response, { repositories: pageOf([...repositories.keys()], searchParams) });
  }
  const [, name = "", kind, reference = ""] =
    /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(pathname) ?? [];
  const repository = repositories.get(name);
  if (!repository) return { status: 404, code: "NAME_UNKNOWN", message: `no repository ${name || pathname}` };
  if (kind === "manifests") return sendManifest(response, repository, reference, request.method);
  if (kind === "blobs") return sendBlob(response, repository, reference, request.method);
  if (reference !== "list") return { status: 404, code: "UNSUPPORTED", message: "expected tags/list" };
  return sendJson(response, { name, tags: pageOf([...repository.tags.keys()], searchParams) });
}

const readOnly: Refusal = {
  status: 405,
  code: "UNSUPPORTED",
  message: "this registry is read-only; images are added to its layout directories",
  headers: { Allow: "GET, HEAD" },
};

/** Of a blob that is read in one go. */
const blobChunkBytes = 1 << 20;

/** The parameters `n` and `last` of lists. */
function pageOf(names: readonly string[], parameters: URLSearchParams): readonly string[] {
  const last = parameters.get("last");
  const sorted = [...names].sort().filter((name) => last === null || name > last);
  const count = Number(parameters.get("n") ?? sorted.length);
  return sorted.slice(0, Number.isInteger(count) && count >= 0 ? count : sorted.length);
}

function sendManifest(
  response: ServerResponse,
  repository: Repository,
  reference: string,
  method: string,
): Refusal | undefined {
  const manifest = openManifest(repository, reference);
  if (!manifest) return { status: 404, code: "MANIFEST_UNKNOWN", message: `no manifest ${reference}` };
  sendHead(response, manifest.mediaType, manifest.bytes.length, manifest.digest);
  response.end(method === "HEAD" ? undefined : manifest.bytes);
  return undefined;
}

async function sendBlob(
  response: ServerResponse,
  repository: Repository,
  digest: string,
  method: string,
): Promise<Refusal | undefined> {
  const blob = openBlob(repository, digest);
  if (!blob) return { status: 404, code: "BLOB_UNKNOWN", message: `no blob ${digest}` };
  sendHead(response, "application/octet-stream", blob.size, digest);
  if (method === "HEAD") response.end();
  else await pipeline(createReadStream(blob.path, { highWaterMark: blobChunkBytes }), response);
  return undefined;
}

function sendHead(response: ServerResponse, mediaType: string, size: number, digest: string): void {
  response.writeHead(200, {
    "Content-Type": mediaType,
    "Content-Length": size,
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
  });
}

function sendJson(response: ServerResponse, value: object): undefined {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, { status, code, message, headers }: Refusal): void {
  const body = JSON.stringify({ errors: [{ code, message, detail: null }] });
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(body);
}
