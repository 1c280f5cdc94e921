import type { IncomingMessage } from "node:http";
import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import { isGrpcType } from "../proxy-wasm/local-reply.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { readLines } from "./http1-downstream.ts";
import { type GatewayReply, gatewayReply } from "./local-replies.ts";
import { acceptPath } from "./normalize-path.ts";

export interface RequestHead {
  /** Pseudo-headers first, names lower-case. */
  readonly lines: HeaderLine[];
  readonly hasBody: boolean;
}

const badRequest = (details: string) => gatewayReply(400, "", details, "DPE");
const tooManyHeaders = gatewayReply(431, "Request Header Fields Too Large", "too_many_headers", "DPE");
const redirectToPath = (path: string) =>
  gatewayReply(307, "", "path_normalization_failed", "", [["location", path]]);
const upgradeRequired = gatewayReply(426, "Upgrade Required", "low_version", "DPE");
const absolute = /^https?:\/\/([^/?#]*)([^#]*)$/i;
const authorityCharacters = /^[A-Za-z0-9._~!$&'()*+,;=:@[\]%-]*$/;

/** What a request of HTTP/1 says in its first line and headers; or what is wrong with it, as Envoy answers that. */
export function readRequest(request: IncomingMessage, http: HttpConnection): RequestHead | GatewayReply {
  const { rawHeaders, method = "", url = "" } = request;
  if (rawHeaders.length / 2 > http.maxHeadersCount) return tooManyHeaders;
  if (request.httpVersionMinor === 0 && !http.acceptHttp10) return upgradeRequired;
  const lines: HeaderLine[] = [
    ["", ""],
    ["", ""],
    ["", ""],
  ];
  readLines(rawHeaders, lines);
  const found = takeHost(lines);
  if (found === "twice") return badRequest("http1.codec_error");
  const target = readTarget(url, found.authority);
  if (!target) return badRequest("invalid_path");
  if (target.authority === undefined) return badRequest("missing_host_header");
  if (!authorityCharacters.test(target.authority)) return badRequest("invalid_authority");
  const accepted = acceptPath(target.path, http);
  if (!accepted) return badRequest("path_normalization_failed");
  const { path, redirects } = accepted;
  if (redirects) return isGrpcLine(lines) ? badRequest("path_normalization_failed") : redirectToPath(path);
  lines[0] = [":authority", target.authority];
  lines[1] = [":path", path];
  lines[2] = [":method", method];
  return { lines, hasBody: found.hasBody };
}

function isGrpcLine(lines: readonly HeaderLine[]): boolean {
  return isGrpcType(lines.find(([name]) => name === "content-type")?.[1]);
}

interface FoundHost {
  readonly authority: string | undefined;
  readonly hasBody: boolean;
}

/** Takes the host out of the lines. */
function takeHost(lines: HeaderLine[]): FoundHost | "twice" {
  let authority: string | undefined;
  let hasBody = false;
  let kept = 0;
  for (const line of lines) {
    const name = line[0];
    if (name === "host") {
      if (authority !== undefined) return "twice";
      authority = line[1];
      continue;
    }
    if (name === "transfer-encoding" || (name === "content-length" && line[1] !== "0")) hasBody = true;
    lines[kept++] = line;
  }
  lines.length = kept;
  return { authority, hasBody };
}

interface Target {
  readonly authority: string | undefined;
  readonly path: string;
}

function readTarget(url: string, host: string | undefined): Target | undefined {
  if (url.includes("#")) return undefined;
  if (url.startsWith("/") || url === "*") return { authority: host, path: url };
  const match = absolute.exec(url);
  if (!match) return undefined;
  const path = match[2] === "" ? "/" : match[2]!;
  return { authority: match[1], path: path.startsWith("?") ? `/${path}` : path };
}
