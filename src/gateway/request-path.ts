import { type HeaderLine, joinRepeated } from "../proxy-wasm/header-map.ts";
import { isGrpcType } from "../proxy-wasm/local-reply.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { type GatewayReply, gatewayReply, refusedRequest } from "./local-replies.ts";
import { normalizePath } from "./normalize-path.ts";

const escapedSlash = /%2f|%5c/i;

/** A request's path as routes and filters see it, by the rules of the connection manager; or the answer to it. */
export function acceptPath(target: string, http: HttpConnection): string | GatewayReply {
  // Envoy looks for it before anything else, in the query too.
  if (target.includes("#")) return refusedRequest("path_normalization_failed");
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  const rest = query < 0 ? "" : target.slice(query);
  const { escapedSlashes } = http;
  if (escapedSlashes === "keep" || !escapedSlash.test(path)) return finish(path, rest, http);
  if (escapedSlashes === "reject") return refusedRequest("path_normalization_failed");
  const plain = path.replace(/%2f/gi, "/").replace(/%5c/gi, "\\");
  const accepted = finish(plain, rest, http);
  if (escapedSlashes === "unescape-forward" || typeof accepted !== "string") return accepted;
  return gatewayReply(307, "", "path_normalization_failed", "", [["location", accepted]]);
}

/** The answer to who asked so: as in Envoy gRPC is sent nowhere, since it would not follow. */
export function refusedPath(answer: GatewayReply, lines: HeaderLine[]): GatewayReply {
  const isGrpc = isGrpcType(joinRepeated(lines).find(([name]) => name === "content-type")?.[1]);
  return answer.status === 307 && isGrpc ? refusedRequest("path_normalization_failed") : answer;
}

function finish(path: string, rest: string, http: HttpConnection): string | GatewayReply {
  const normal = http.normalizePath ? normalizePath(path) : path;
  if (normal === undefined) return refusedRequest("path_normalization_failed");
  return (http.mergeSlashes ? normal.replace(/\/{2,}/g, "/") : normal) + rest;
}
