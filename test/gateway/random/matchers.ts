import { fc } from "../../peers/properties.ts";
import { names, paths, pick, values } from "./values.ts";

const nonEmpty = pick(values.filter((value) => value.trim() !== ""));

/** A StringMatcher. */
export const stringMatcher = fc.oneof(
  pick(values).map((exact) => ({ exact })),
  ...["prefix", "suffix", "contains"].map((kind) =>
    fc.tuple(nonEmpty, fc.boolean()).map(([value, ignore_case]) => ({ [kind]: value, ignore_case })),
  ),
  fc.tuple(pick(values), fc.boolean()).map(([exact, ignore_case]) => ({ exact, ignore_case })),
  pick(["a.*", "[0-9]+", ".*", "a|b", "(?i)AB", "^a$", "a,b"]).map((regex) => ({ safe_regex: { regex } })),
);

/** A HeaderMatcher. */
export const headerMatcher = fc
  .tuple(
    pick([...names, ":method", "host", ":authority", ":path", "content-type"]),
    fc.oneof(
      stringMatcher.map((string_match) => ({ string_match })),
      fc.boolean().map((present_match) => ({ present_match })),
      fc.constant({}),
      fc
        .tuple(fc.integer({ min: -10, max: 10 }), fc.integer({ min: 0, max: 20 }))
        .map(([start, length]) => ({ range_match: { start: String(start), end: String(start + length) } })),
      nonEmpty.map((exact_match) => ({ exact_match })),
      nonEmpty.map((prefix_match) => ({ prefix_match })),
      nonEmpty.map((suffix_match) => ({ suffix_match })),
      nonEmpty.map((contains_match) => ({ contains_match })),
      fc.constant({ safe_regex_match: { regex: "[a1].*" } }),
    ),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([name, by, invert_match, treat_missing_header_as_empty]) => ({
    name,
    ...by,
    invert_match,
    treat_missing_header_as_empty,
  }));

const queryMatcher = fc
  .tuple(
    pick(["q", "Q", "x", "a"]),
    fc.oneof(
      stringMatcher.map((string_match) => ({ string_match })),
      fc.boolean().map((present_match) => ({ present_match })),
      fc.constant({}),
    ),
  )
  .map(([name, by]) => ({ name, ...by }));

const pathMatch = fc.oneof(
  pick([...paths, "/a/b?q", "/a?q=1", "/?", ""]).map((prefix) => ({ prefix })),
  pick([...paths, "/a?q=1"]).map((path) => ({ path })),
  pick(["/.*", "/a/?", "/a.b", "/(a|b).*", "/[^/]*", "(?i)/A/b"]).map((regex) => ({ safe_regex: { regex } })),
  pick(["/a", "/a/b", "/A", "/ab", "/a;v=1"]).map((path_separated_prefix) => ({ path_separated_prefix })),
  fc.constant({ connect_matcher: {} }),
);

/** A RouteMatch. */
export const routeMatch = fc
  .tuple(
    pathMatch,
    pick([undefined, true, false]),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      fc.array(headerMatcher, { minLength: 1, maxLength: 2 }),
    ),
    fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      fc.array(queryMatcher, { minLength: 1, maxLength: 2 }),
    ),
    pick(["none", "none", "none", "none", "none", "grpc", "never", "always"]),
  )
  .map(([path, case_sensitive, headers, query_parameters, extra]) => ({
    ...path,
    ...(case_sensitive === undefined ? {} : { case_sensitive }),
    headers,
    query_parameters,
    ...(extra === "grpc" ? { grpc: {} } : {}),
    ...(extra === "never" || extra === "always"
      ? { runtime_fraction: { default_value: { numerator: extra === "never" ? 0 : 100 } } }
      : {}),
  }));
