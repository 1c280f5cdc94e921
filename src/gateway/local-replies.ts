import type { HeaderLine, LocalResponse } from "../proxy-wasm/index.ts";
import type { UpstreamReset } from "./upstream-stream.ts";

/** A response of the gateway itself, by Envoy's words and flags. */
export interface GatewayReply extends LocalResponse {
  /** Envoy's response flag; empty for none. */
  readonly flag: string;
  /** The route has had its way with the headers already. */
  readonly isFinal?: boolean;
  /** What the transport to an upstream said: for logs. */
  readonly transport?: string | undefined;
}

export function gatewayReply(
  status: number,
  body: string | Uint8Array,
  details: string,
  flag = "",
  headers: readonly HeaderLine[] = [],
): GatewayReply {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return { status, headers, body: bytes, grpcStatus: undefined, details, flag };
}

/** What is no HTTP is answered by the codec, in the status' words. */
export function codecError(status: number, text: string, details = "http1.codec_error"): GatewayReply {
  return gatewayReply(status, text, details, "DPE");
}

export const badRequest = codecError(400, "Bad Request");
export const notImplemented = codecError(501, "Not Implemented", "http1.invalid_transfer_encoding");
export const upgradeRequired = codecError(426, "Upgrade Required", "low_version");
export const headersTooLarge = codecError(431, "Request Header Fields Too Large", "http1.headers_too_large");
export const tooManyHeaders = codecError(431, "Request Header Fields Too Large", "http1.too_many_headers");
export const invalidCharacters = codecError(400, "Bad Request", "http1.invalid_characters");
export const lengthAndChunks = codecError(400, "Bad Request", "http1.content_length_and_chunked_not_allowed");
export const invalidUrl = codecError(400, "Bad Request", "http1.invalid_url");
export const invalidScheme = codecError(400, "Bad Request", "http1.invalid_scheme");
export const httpsOnPlaintext = codecError(403, "Forbidden", "http1.https_url_on_plaintext_connection");
export const invalidAuthority = codecError(400, "Bad Request", "http.invalid_authority");
export const absolutePathRejected = gatewayReply(404, "", "absolute_path_rejected");

/** It was HTTP, and yet no request to be answered. */
export function refusedRequest(details: string): GatewayReply {
  return gatewayReply(400, "", details);
}

export const routeNotFound = gatewayReply(404, "", "route_not_found", "NR");
export const noHealthyUpstream = gatewayReply(503, "no healthy upstream", "no_healthy_upstream", "UH");
export const upgradeRefused = gatewayReply(403, "", "upgrade_failed");

/** What a client gets when an upstream takes too long: for a whole request, or for one attempt. */
export function timedOut(status: 504 | 204, details: string): GatewayReply {
  return gatewayReply(status, status === 504 ? "upstream request timeout" : "", details, "UT");
}

export function clusterNotFound(status: number): GatewayReply {
  return gatewayReply(status, "", "cluster_not_found", "NC");
}

const flags: Readonly<Record<UpstreamReset["reason"], string>> = {
  "connection termination": "UC",
  "connection timeout": "UF",
  "local reset": "LR",
  overflow: "UO",
  "protocol error": "UPE",
  "remote connection failure": "UF",
  "remote refused stream reset": "UR",
  "remote reset": "UR",
};

/** What a client gets when an upstream failed before it answered. */
export function upstreamReset(reset: UpstreamReset, isRetry: boolean): GatewayReply {
  const { reason, transport } = reset;
  const retried = isRetry ? "retried and the latest " : "";
  // As Envoy 1.40: what the transport said is for the log and not for clients.
  const body = `upstream connect error or disconnect/reset before headers. ${retried}reset reason: ${reason}`;
  const cause = transport === undefined ? reason : `${reason}|${transport}`;
  const details = `upstream_reset_before_response_started{${cause.replace(/ /g, "_")}}`;
  const headers: HeaderLine[] = reason === "overflow" ? [["x-envoy-overloaded", "true"]] : [];
  const status = reason === "protocol error" ? 502 : 503;
  return { ...gatewayReply(status, body, details, flags[reason], headers), transport };
}

/** Why a stream ended within a response. */
export interface StreamCut {
  /** Envoy's response flag. */
  readonly flag: string;
  readonly details: string;
}

/** How a response that an upstream did not finish is named. */
export function cutBy({ reason }: UpstreamReset): StreamCut {
  const details = `upstream_reset_after_response_started{${reason.replace(/ /g, "_")}}`;
  return { flag: flags[reason], details };
}
