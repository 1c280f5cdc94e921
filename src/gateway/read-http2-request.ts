import type { HeaderLine } from "../proxy-wasm/header-map.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { type GatewayReply, gatewayReply, routeNotFound } from "./local-replies.ts";
import { acceptPath, refusedPath } from "./request-path.ts";
import { splitPort } from "./strip-port.ts";

export interface Http2Request {
  /** Pseudo-headers first, as HTTP/1 would have them. */
  readonly lines: HeaderLine[];
  /** CONNECT with `:protocol`. */
  readonly isUpgrade: boolean;
  /** The client waits until it is told to go on. */
  readonly expectsContinue: boolean;
}

/** What is no request: its stream is reset. */
export type Malformed = "malformed" | "too large";

// Names may hold what Node's parser lets through, and an authority of HTTP/2 no user.
const authorityCharacters = /^[A-Za-z0-9._~!$&'()*+,;=:[\]%-]*$/;
const underscoreRefused = gatewayReply(400, "", "http2.unexpected_underscore", "DPE");

/** What a request's lines say, as they came in HEADERS. */
export function readHttp2Request(
  raw: readonly string[],
  http: HttpConnection,
  connection: DownstreamConnection,
): Http2Request | GatewayReply | Malformed {
  const read = readHttp2Lines(raw);
  if (isTooLarge(read, http)) return "too large";
  const values = new Map(read.filter(([name]) => name.startsWith(":")));
  const authority = values.get(":authority") ?? "";
  if (!authorityCharacters.test(authority)) return "malformed";
  const protocol = values.get(":protocol");
  const target = values.get(":path");
  if (target === undefined) return routeNotFound;
  if (protocol !== undefined && !http.allowConnect) return "malformed";
  const path = acceptPath(target, http);
  if (typeof path !== "string") return refusedPath(path, read);
  if (http.underscoreHeaders === "reject" && read.some(([name]) => name.includes("_")))
    return underscoreRefused;
  const expectsContinue =
    !http.proxy100Continue &&
    read.some(([name, value]) => name === "expect" && /^100-continue$/i.test(value));
  const lines: HeaderLine[] = [];
  for (const line of read) {
    const [name] = line;
    if (name === ":path") lines.push([":path", path]);
    else if (name === ":authority" && http.stripPort !== "none")
      lines.push([":authority", splitPort(authority, connection, http)]);
    else if (name === ":method" && protocol !== undefined) lines.push([":method", "GET"]);
    else if (name === ":protocol" || (name === "expect" && expectsContinue)) continue;
    else if (http.underscoreHeaders === "allow" || !name.includes("_")) lines.push(line);
  }
  if (protocol !== undefined) lines.push(["connection", "upgrade"], ["upgrade", protocol]);
  return { lines, isUpgrade: protocol !== undefined, expectsContinue };
}

/** Counted here: a client that does not acknowledge our SETTINGS is held to none of them. */
function isTooLarge(lines: readonly HeaderLine[], http: HttpConnection): boolean {
  const bytes = lines.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return lines.length > http.maxHeadersCount || bytes > http.maxRequestHeadersKb * 1024;
}

/** Pseudo-headers first; `host` is `:authority` where there is none; crumbs of cookies together, as in Envoy. */
export function readHttp2Lines(raw: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  let authority: string | undefined;
  let host: string | undefined;
  const cookies: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name, value] = [raw[i]!, raw[i + 1]!];
    if (name === ":authority") authority = value;
    if (name === "host") host = value;
    else if (name === "cookie") cookies.push(value);
    else lines.push([name, value]);
  }
  if (authority === undefined && host !== undefined) lines.unshift([":authority", host]);
  if (cookies.length > 0) lines.push(["cookie", cookies.join("; ")]);
  return lines;
}
