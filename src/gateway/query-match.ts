import type { QueryParameterMatcher } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { refuse, within } from "./refused-config.ts";
import { compileStringMatcher } from "./string-match.ts";

/** Query parameters as they are written, nothing decoded; the first of each name counts. */
export type QueryParameters = ReadonlyMap<string, string>;

/** Reads the query of a path. */
export function readQuery(path: string): QueryParameters {
  const parameters = new Map<string, string>();
  const start = path.indexOf("?");
  if (start < 0 || start === path.length - 1) return parameters;
  for (const part of path.slice(start + 1).split("&")) {
    const equal = part.indexOf("=");
    const name = equal < 0 ? part : part.slice(0, equal);
    if (!parameters.has(name)) parameters.set(name, equal < 0 ? "" : part.slice(equal + 1));
  }
  return parameters;
}

/** Compiles Envoy's QueryParameterMatcher. Without a specifier the parameter has to be there. */
export function compileQueryMatcher(matcher: QueryParameterMatcher): (query: QueryParameters) => boolean {
  const { name, queryParameterMatchSpecifier: by } = matcher;
  if (name === "") refuse("name", "value length must be at least 1 characters");
  if (by.case !== "stringMatch") {
    const wanted = by.value ?? true;
    return (query) => query.has(name) === wanted;
  }
  const test = within("string_match", () => compileStringMatcher(by.value));
  return (query) => {
    const value = query.get(name);
    return value !== undefined && test(value);
  };
}
