import type { RouteMatch } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { refuse, within } from "./refused-config.ts";
import { compileRegex, toHeader } from "./regex.ts";
import { textTest } from "./string-match.ts";

/** How a route matches paths. */
export interface PathMatch {
  /** `path` is without query and fragment. */
  matches(path: string): boolean;
  /** How much of a path a prefix rewrite replaces; undefined where it does not begin so, parameters having been left out. */
  matchedLength(path: string): number | undefined;
}

/** A path without its query and fragment. */
export function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

/** Compiles what a route says about the path. */
export function compilePathMatch({ pathSpecifier: by, caseSensitive }: RouteMatch): PathMatch {
  const ignoreCase = caseSensitive === false;
  switch (by.case) {
    case "prefix":
      return {
        matches: textTest("prefix", by.value, ignoreCase),
        matchedLength: matchedPrefix(by.value, ignoreCase),
      };
    case "path":
      return {
        matches: textTest("exact", by.value, ignoreCase),
        matchedLength: matchedPrefix(by.value, ignoreCase),
      };
    case "pathSeparatedPrefix":
      return separatedPrefix(by.value, ignoreCase);
    case "safeRegex": {
      const regex = within("safe_regex", () => compileRegex(by.value.regex));
      return { matches: (path) => regex.test(path), matchedLength: (path) => withoutQuery(path).length };
    }
    case "connectMatcher":
      // Of CONNECT requests only, and those are answered before any route is looked for.
      return { matches: () => false, matchedLength: () => undefined };
    default:
      return refuse("path_specifier", by.case === undefined ? "is required" : `${by.case} is not supported`);
  }
}

/** `/a` matches `/a` and `/a/…`, not `/ab`. */
function separatedPrefix(value: string, ignoreCase: boolean): PathMatch {
  if (!/^\/[^?#]*[^?#/]$/.test(value)) {
    refuse(
      "path_separated_prefix",
      `value does not match "^[^?#]+[^?#/]$" or does not begin with "/": ${value}`,
    );
  }
  const startsSo = textTest("prefix", value, ignoreCase);
  const { length } = toHeader(value);
  return {
    matches: (path) => startsSo(path) && (path.length === length || path[length] === "/"),
    matchedLength: matchedPrefix(value, ignoreCase),
  };
}

function matchedPrefix(value: string, ignoreCase: boolean): PathMatch["matchedLength"] {
  const startsSo = textTest("prefix", value, ignoreCase);
  const { length } = toHeader(value);
  return (path) => (startsSo(path) ? length : undefined);
}
