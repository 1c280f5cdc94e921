import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { withoutQuery } from "./path-match.ts";
import type { ForwardAction, HttpsAction, RedirectAction, SelectedRoute } from "./route-table.ts";

/** The path that goes upstream, or into a redirect; undefined where it stays. The query stays in any case. */
export function rewrittenPath(
  { prefixRewrite, regexRewrite, matchedLength }: ForwardAction | RedirectAction,
  path: string,
): string | undefined {
  if (prefixRewrite !== undefined) {
    const length = matchedLength(path);
    return length === undefined ? undefined : prefixRewrite + path.slice(length);
  }
  if (!regexRewrite) return undefined;
  const plain = withoutQuery(path);
  return regexRewrite.replace(plain) + path.slice(plain.length);
}

/**
 * The authority that goes upstream; undefined where it stays. With `auto` it is the endpoint's hostname, which is known
 * later.
 */
export function rewrittenHost(
  { action }: SelectedRoute,
  headers: HeaderMap,
): string | { readonly auto: true } | undefined {
  if (action.kind !== "forward") return undefined;
  const by = action.hostRewrite;
  switch (by?.kind) {
    case "literal":
      return by.value;
    case "header":
      return headers.get(by.header) || undefined;
    case "path":
      return by.replace(headers.get(":path") ?? "");
    case "auto":
      return { auto: true };
    default:
      return undefined;
  }
}

/** The `location` of a redirect. */
export function redirectLocation(action: RedirectAction | HttpsAction, headers: HeaderMap): string {
  const host = headers.get(":authority") ?? "";
  const path = headers.get(":path") ?? "/";
  if (action.kind === "https") return `https://${host}${path}`;
  const newScheme = action.scheme || (headers.get(":scheme") ?? "http");
  const port = action.port === 0 ? "" : `:${action.port}`;
  const newHost = action.host || hostFor(headers, newScheme, port !== "");
  const newPath = redirectPath(action, path);
  return `${newScheme}://${newHost}${port}${newPath.startsWith("/") ? "" : "/"}${newPath}`;
}

/** The `location` that Envoy adds to a direct response of 201 or 3xx. */
export function directLocation(headers: HeaderMap): string {
  const scheme = headers.get(":scheme") ?? "http";
  return `${scheme}://${hostFor(headers, scheme, false)}${headers.get(":path") ?? "/"}`;
}

function redirectPath(action: RedirectAction, path: string): string {
  const query = path.indexOf("?");
  if (action.path !== "") {
    // A query of its own comes in place of the request's.
    if (action.path.includes("?") || query < 0 || action.stripQuery) return action.path;
    return action.path + path.slice(query);
  }
  const rewritten = rewrittenPath(action, path) ?? path;
  const end = rewritten.indexOf("?");
  return action.stripQuery && end >= 0 ? rewritten.slice(0, end) : rewritten;
}

/** The request's host, without a port that the redirect replaces, or that was the default of what the client speaks. */
function hostFor(headers: HeaderMap, newScheme: string, hasNewPort: boolean): string {
  const host = headers.get(":authority") ?? "";
  const at = host.startsWith("[") ? host.lastIndexOf("]:") + 1 || -1 : host.lastIndexOf(":");
  if (at < 0) return host;
  const port = host.slice(at);
  // As Envoy: what the client speaks may not be what its URL says.
  const spoken = headers.get("x-forwarded-proto");
  const isDefault = (spoken === "http" && port === ":80") || (spoken === "https" && port === ":443");
  return hasNewPort || (newScheme !== spoken && isDefault) ? host.slice(0, at) : host;
}
