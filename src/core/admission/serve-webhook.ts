import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { createSecureContext } from "node:tls";
import type { Log } from "../../log.ts";
import { errorText, SystemError } from "../../system-error.ts";
import { watchFile } from "../../watch-file.ts";
import type { ConvertOptions } from "../convert-options.ts";
import { type AdmissionRequest, reviewWasmPlugin } from "./review.ts";

export interface WebhookOptions {
  readonly bind: string;
  /** 9443; 0 for any free one. */
  readonly port: number;
  /** Files in PEM. They are read again when they change. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly convert: ConvertOptions;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Where WasmPlugins are reviewed. */
export const webhookPath = "/validate-wasmplugins";

/** An object and the one before it, each at most as large as the API server takes them. */
const maxBodyBytes = 8 * 1024 * 1024;
const requestTimeoutMs = 10_000;
const maxConnections = 256;

/**
 * Serves the validating admission webhook over TLS. Resolves with the port once it listens.
 * @throws SystemError("disk") for files that cannot be used, SystemError("network") for a port that cannot
 */
export async function serveWebhook(options: WebhookOptions): Promise<number> {
  const { bind, port, certFile, keyFile, log, signal } = options;
  const server = createServer(
    { ...(await readCertificate(options)), requestTimeout: requestTimeoutMs },
    (request, response) => void answer(request, response, options),
  );
  server.maxConnections = maxConnections;
  for (const file of [certFile, keyFile]) void watchFile(file, () => void renew(server, options), signal);
  signal.addEventListener("abort", () => {
    server.close();
    server.closeAllConnections();
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new SystemError("network", `cannot listen on ${bind}:${port}: ${error.message}`, error)),
    );
    server.listen(port, bind, () => resolve((server.address() as AddressInfo).port));
  });
  log.info({ port: bound, path: webhookPath }, "reviewing WasmPlugins");
  return bound;
}

async function readCertificate({ certFile, keyFile }: WebhookOptions) {
  try {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (error) {
    const message = `cannot use ${certFile} and ${keyFile}: ${errorText(error)}`;
    throw new SystemError("disk", message, error);
  }
}

/** A pair that does not fit is one of which the other half is still to come. */
async function renew(server: Server, options: WebhookOptions): Promise<void> {
  try {
    server.setSecureContext(await readCertificate(options));
    options.log.info({ file: options.certFile }, "the webhook has another certificate");
  } catch (error) {
    options.log.warn({ error: errorText(error) }, "the webhook keeps its certificate");
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { convert, log }: WebhookOptions,
): Promise<void> {
  const send = (status: number, body: unknown) => {
    const text = JSON.stringify(body);
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
    });
    response.end(text);
  };
  if (request.url?.split("?")[0] !== webhookPath) return send(404, { error: `there is ${webhookPath} only` });
  if (request.method !== "POST") return send(405, { error: "only POST" });
  try {
    const asked = readReview(await readBody(request));
    const { apiVersion } = asked;
    send(200, { apiVersion, kind: "AdmissionReview", response: reviewWasmPlugin(asked.request, convert) });
  } catch (error) {
    log.warn({ error: errorText(error) }, "a review could not be answered");
    send(400, { error: errorText(error) });
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes)
      throw new SystemError("too-large", `a review has more than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const reviewVersion = "admission.k8s.io/v1";

function readReview(text: string): { readonly apiVersion: string; readonly request: AdmissionRequest } {
  const { apiVersion, kind, request } = (JSON.parse(text) ?? {}) as {
    apiVersion?: unknown;
    kind?: unknown;
    request?: Partial<AdmissionRequest>;
  };
  if (apiVersion !== reviewVersion || kind !== "AdmissionReview" || typeof request?.uid !== "string")
    throw new Error(`expected an AdmissionReview of ${reviewVersion} with a request`);
  return { apiVersion, request: { ...request, uid: request.uid } };
}
