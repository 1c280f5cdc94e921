import type { RouteMatch } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { refuse, within } from "./refused-config.ts";
import { compileRegex, toHeader } from "./regex.ts";
import { lowerAscii, textTest } from "./string-match.ts";

/** How a route matches paths. */
export interface PathMatch {
  /** `path` is without query and fragment. */
  matches(path: string): boolean;
  /** How much of a path a prefix rewrite replaces. */
  matchedLength(path: string): number;
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
    case "prefix": {
      const length = toHeader(by.value).length;
      return { matches: textTest("prefix", by.value, ignoreCase), matchedLength: () => length };
    }
    case "path": {
      const length = toHeader(by.value).length;
      return { matches: textTest("exact", by.value, ignoreCase), matchedLength: () => length };
    }
    case "pathSeparatedPrefix":
      return separatedPrefix(by.value, ignoreCase);
    case "safeRegex": {
      const regex = within("safe_regex", () => compileRegex(by.value.regex));
      return { matches: (path) => regex.test(path), matchedLength: (path) => withoutQuery(path).length };
    }
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
  const literal = ignoreCase ? lowerAscii(toHeader(value)) : toHeader(value);
  const { length } = literal;
  return {
    matches(path) {
      const text = ignoreCase ? lowerAscii(path) : path;
      return text.startsWith(literal) && (text.length === length || text[length] === "/");
    },
    matchedLength: () => length,
  };
}
