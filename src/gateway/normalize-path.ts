import type { HttpConnection } from "./gateway-config.ts";

type PathOptions = Pick<HttpConnection, "normalizePath" | "mergeSlashes" | "escapedSlashes">;

/** A path as routes see it. `redirects`: the client is to ask for it itself. */
export interface AcceptedPath {
  readonly path: string;
  readonly redirects: boolean;
}

const escapedSlash = /%(2f|5c)/i;

/** Does with a path what the connection manager says, in Envoy's order; undefined if it is refused. */
export function acceptPath(target: string, options: PathOptions): AcceptedPath | undefined {
  const { normalizePath: normalizes, mergeSlashes: merges, escapedSlashes } = options;
  let path: string | undefined = target;
  let redirects = false;
  if (escapedSlashes !== "keep") {
    const plain = pathOf(target);
    if (escapedSlash.test(plain)) {
      if (escapedSlashes === "reject") return undefined;
      redirects = escapedSlashes === "unescape-redirect";
      path = plain.replace(/%2f/gi, "/").replace(/%5c/gi, "\\") + target.slice(plain.length);
    }
  }
  if (normalizes) path = normalizePath(path);
  if (path !== undefined && merges) path = mergeSlashes(path);
  return path === undefined ? undefined : { path, redirects };
}

function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

function mergeSlashes(target: string): string {
  const path = pathOf(target);
  return path.includes("//") ? path.replace(/\/{2,}/g, "/") + target.slice(path.length) : target;
}

const mayNeed = /[\\%]|\/\.|^\*/;
const unreserved = /^[A-Za-z0-9._~-]$/;

/** A path with dot segments resolved and unreserved characters decoded, its query as it is; undefined if it is broken. */
export function normalizePath(target: string): string | undefined {
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  if (!mayNeed.test(path)) return target;
  if (!path.startsWith("/")) return target;
  const decoded = decodeUnreserved(path.replaceAll("\\", "/"));
  if (decoded === undefined) return undefined;
  return removeDotSegments(decoded) + (query < 0 ? "" : target.slice(query));
}

function decodeUnreserved(path: string): string | undefined {
  if (/%00/.test(path)) return undefined;
  return path.replace(/%([0-9a-fA-F]{2})/g, (all, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return unreserved.test(character) ? character : all;
  });
}

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.slice(1).split("/");
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== "..") kept.push(segment);
    else if (isLast) kept.push("");
  }
  return `/${kept.join("/")}`;
}
