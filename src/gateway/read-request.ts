import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import { removeNominated } from "./connection-header.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import {
  absolutePathRejected,
  badRequest,
  codecError,
  type GatewayReply,
  httpsOnPlaintext,
  invalidAuthority,
  invalidScheme,
  invalidUrl,
  refusedRequest,
  upgradeRequired,
} from "./local-replies.ts";
import type { ParsedRequest } from "./request-parser.ts";
import { acceptPath, refusedPath } from "./request-path.ts";
import { splitPort } from "./strip-port.ts";

export interface RequestHead {
  /** Pseudo-headers first, names lower-case. */
  readonly lines: HeaderLine[];
}

const absolute = /^(https?):\/\/(?:[^/?#@]*@)?([^/?#]+)([^#]*)$/i;
const authorityCharacters = /^[A-Za-z0-9._~!$&'()*+,;=:@[\]%-]*$/;

/** What a request of HTTP/1 says in its first line and headers; or what is wrong with it, as Envoy answers that. */
export function readRequest(
  { method, target: url, protocol, lines: received }: ParsedRequest,
  http: HttpConnection,
  connection: DownstreamConnection,
): RequestHead | GatewayReply {
  if (protocol === "HTTP/1.0") {
    if (!http.acceptHttp10) return upgradeRequired;
    // RFC 9112 section 6.1: who knows HTTP/1.0 only reads another body than we.
    if (received.some(([name]) => name === "transfer-encoding")) return badRequest;
  }
  const lines: HeaderLine[] = [noLine, noLine, noLine];
  const found = takeHost(received, lines, http);
  if ("status" in found) return found;
  const target = readTarget(url, method, found.authority);
  if ("status" in target) return target;
  if (target.scheme === "https" && !connection.tls) return httpsOnPlaintext;
  const authority = target.authority ?? (protocol === "HTTP/1.0" ? http.http10Host || undefined : undefined);
  if (authority === undefined) return refusedRequest("missing_host_header");
  if (!authorityCharacters.test(authority)) return invalidAuthority;
  const path = acceptPath(target.path, http);
  if (typeof path !== "string") return refusedPath(path, lines);
  lines[0] = [":authority", http.stripPort === "none" ? authority : splitPort(authority, connection, http)];
  lines[1] = [":path", path];
  lines[2] = [":method", method];
  return { lines };
}

interface FoundHost {
  readonly authority: string | undefined;
}

const noLine: HeaderLine = ["", ""];

/** Takes lines over but for the host, and for what the client says for this connection only. */
function takeHost(
  received: readonly HeaderLine[],
  lines: HeaderLine[],
  { underscoreHeaders }: HttpConnection,
): FoundHost | GatewayReply {
  let authority: string | undefined;
  let connection = "";
  for (const line of received) {
    const [name, value] = line;
    switch (name) {
      case "host":
        // Unlike Envoy: it joins them with a comma, and whoever comes behind it reads one or the other.
        if (authority !== undefined) return badRequest;
        authority = value;
        continue;
      case "connection":
        connection = connection === "" ? value : `${connection},${value}`;
        break;
      default:
        if (underscoreHeaders !== "allow" && name.includes("_")) {
          if (underscoreHeaders === "reject") return underscoreRefused;
          continue;
        }
    }
    lines.push(line);
  }
  return isPlain(connection) ? { authority } : withoutNominated(lines, authority);
}

const underscoreRefused = codecError(400, "Bad Request", "http1.unexpected_underscore");

function isPlain(connection: string): boolean {
  return connection === "" || /^(keep-alive|close|upgrade)$/i.test(connection);
}

function withoutNominated(lines: HeaderLine[], authority: string | undefined): FoundHost | GatewayReply {
  const left = removeNominated(authority === undefined ? lines : [...lines, ["host", authority]]);
  if (!left) return codecError(400, "Bad Request", "http1.connection_header_rejected");
  const kept = left.filter(([name]) => name !== "host");
  const isHostKept = kept.length < left.length;
  lines.splice(0, lines.length, ...kept);
  return { authority: isHostKept ? authority : undefined };
}

interface Target {
  readonly scheme: string | undefined;
  readonly authority: string | undefined;
  readonly path: string;
}

function readTarget(url: string, method: string, host: string | undefined): Target | GatewayReply {
  if (url.startsWith("/")) return { scheme: undefined, authority: host, path: url };
  if (url === "*" && method === "OPTIONS") return absolutePathRejected;
  const match = absolute.exec(url);
  if (!match) return /^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(url) ? invalidScheme : invalidUrl;
  const [, scheme = "", authority, rest = ""] = match;
  // Unlike Envoy: it leaves `?q` as it is, which matches no route. RFC 9112 section 3.2.2 has the path be a slash.
  return { scheme: scheme.toLowerCase(), authority, path: rest.startsWith("/") ? rest : `/${rest}` };
}
