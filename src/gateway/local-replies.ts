import type { HeaderLine, LocalResponse } from "../proxy-wasm/index.ts";
import type { UpstreamReset } from "./upstream-stream.ts";

/** A response of the gateway itself, by Envoy's words and flags. */
export interface GatewayReply extends LocalResponse {
  /** Envoy's response flag; empty for none. */
  readonly flag: string;
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

export const routeNotFound = gatewayReply(404, "", "route_not_found", "NR");
export const noHealthyUpstream = gatewayReply(503, "no healthy upstream", "no_healthy_upstream", "UH");
/** Better than HTTP/1 to an upstream that may not speak it. */
export const http2Unsupported = gatewayReply(
  503,
  "the cluster wants HTTP/2, which this gateway does not speak to upstreams yet",
  "http2_upstream_unsupported",
  "UF",
);
export const requestTimeout = gatewayReply(504, "upstream request timeout", "response_timeout", "UT");
export const perTryTimeout = gatewayReply(504, "upstream request timeout", "upstream_per_try_timeout", "UT");
export const upgradeRefused = gatewayReply(403, "", "upgrade_failed");

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
  // What the transport said is for logs, and not for clients.
  const body = `upstream connect error or disconnect/reset before headers. ${retried}reset reason: ${reason}`;
  const cause = transport === undefined ? reason : `${reason}|${transport}`;
  const details = `upstream_reset_before_response_started{${cause.replace(/ /g, "_")}}`;
  const headers: HeaderLine[] = reason === "overflow" ? [["x-envoy-overloaded", "true"]] : [];
  return gatewayReply(reason === "protocol error" ? 502 : 503, body, details, flags[reason], headers);
}

/** The flag of a stream that ended within a response. */
export function flagOf(reset: UpstreamReset): string {
  return flags[reset.reason];
}
