import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";

/** A request as a test sends it. */
export interface TestRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** A route configuration and requests that its parts may match. */
export interface RoutingCase {
  readonly table: JsonObject;
  readonly requests: readonly TestRequest[];
}

const hosts = [
  ..."a.com b.com x.a.com y.x.a.com foo-a.com x.foo-a.com A.Com X.A.com [::1] [::1]:80 a.com:8080 b.com:8080 x.a.com:443".split(
    " ",
  ),
  ..."a.com:80 c .a.com x. x.y x.a.com. a.com:".split(" "),
];
const domains =
  "a.com b.com x.a.com *.a.com *-a.com *a.com *.com x.* x.a.* a.* a* * b.com:8080 *:8080 [::1] *.x.a.com B.ORG y.X.a.com c".split(
    " ",
  );
const paths = "/ /a /a/ /a/b /ab /A /A/b /a/b/c /a;v=1/b /a.b /b /a%2Fb /a//b /abc/d".split(" ");
const queries = [
  "",
  "",
  "",
  "?q=1",
  "?q=1&q=2",
  "?q",
  "?q=",
  "?x=1&q=a%20b",
  "?",
  "?q=1?z",
  "?Q=1",
  "?a=b=c&q=12",
];
const values = ["", "1", "a", "A", "ab", "abc", "a,b", "12", "-5", " 7", "application/grpc", "1,2"];
const names = ["x-a", "x-b", "x-none"];

const pick = <T>(items: readonly T[]) => fc.constantFrom(...items);
const nonEmpty = pick(values.filter((value) => value.trim() !== ""));

const stringMatcher = fc.oneof(
  pick(values).map((exact) => ({ exact })),
  ...["prefix", "suffix", "contains"].map((kind) =>
    fc.tuple(nonEmpty, fc.boolean()).map(([value, ignore_case]) => ({ [kind]: value, ignore_case })),
  ),
  fc.tuple(pick(values), fc.boolean()).map(([exact, ignore_case]) => ({ exact, ignore_case })),
  pick(["a.*", "[0-9]+", ".*", "a|b", "(?i)AB", "^a$", "a,b"]).map((regex) => ({ safe_regex: { regex } })),
);

const headerMatcher = fc
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
);

const match = fc
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

const regexRewrite = (rewrites: readonly (readonly [string, string])[]) =>
  pick(rewrites).map(([regex, substitution]) => ({ pattern: { regex }, substitution }));
/** Upstreams refuse paths that do not begin with a slash. */
const pathRewrites = [
  ["^/a(.*)$", "/r\\1"],
  ["[ab]", "<\\0>"],
  ["/", "/\\\\"],
  ["(b)?$", "!\\1"],
] as const;

const redirect = fc
  .tuple(
    fc.oneof(fc.constant({}), fc.constant({ https_redirect: true }), fc.constant({ scheme_redirect: "ftp" })),
    pick([{}, { host_redirect: "other.org" }]),
    pick([{}, { port_redirect: 8443 }]),
    fc.oneof(
      fc.constant({}),
      pick(["/new", "/new?own=1"]).map((path_redirect) => ({ path_redirect })),
      pick(["/p", "/"]).map((prefix_rewrite) => ({ prefix_rewrite })),
      regexRewrite([...pathRewrites, ["(x)?", "-"]]).map((regex_rewrite) => ({ regex_rewrite })),
    ),
    pick(["MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"]),
    fc.boolean(),
  )
  .map(([scheme, host, port, path, response_code, strip_query]) => ({
    redirect: { ...scheme, ...host, ...port, ...path, response_code, strip_query },
  }));

const target = pick([
  { cluster: "echo" },
  { cluster_header: "x-a" },
  {
    weighted_clusters: {
      clusters: [
        { name: "nowhere", weight: 0 },
        { name: "echo", weight: 1 },
      ],
    },
  },
]);

const forward = fc
  .tuple(
    target,
    fc.oneof(
      fc.constant({}),
      pick(["/p", "/p/", "/"]).map((prefix_rewrite) => ({ prefix_rewrite })),
      regexRewrite(pathRewrites).map((regex_rewrite) => ({ regex_rewrite })),
    ),
    fc.oneof(
      fc.constant({}),
      fc.constant({ host_rewrite_literal: "literal.org" }),
      fc.constant({ host_rewrite_header: "x-a" }),
      fc.constant({ host_rewrite_path_regex: { pattern: { regex: "^/(.).*$" }, substitution: "\\1.org" } }),
    ),
  )
  .map(([to, path, host]) => ({ route: { ...to, ...path, ...host } }));

const edits = fc
  .tuple(
    fc.array(
      fc.tuple(
        pick(["x-a", "x-b", "x-new"]),
        pick(["v", "%REQ(x-a)%", "%%100%REQ(X-NONE?x-b)%", "%REQ(:path):3%", "%REQ(x-none)%"]),
        pick([
          "APPEND_IF_EXISTS_OR_ADD",
          "ADD_IF_ABSENT",
          "OVERWRITE_IF_EXISTS_OR_ADD",
          "OVERWRITE_IF_EXISTS",
        ]),
        fc.boolean(),
      ),
      { maxLength: 3 },
    ),
    fc.subarray(["x-a", "x-b"], { maxLength: 1 }),
  )
  .map(([added, request_headers_to_remove]) => ({
    request_headers_to_remove,
    request_headers_to_add: added.map(([key, value, append_action, keep_empty_value]) => ({
      header: { key, value },
      append_action,
      keep_empty_value,
    })),
  }));

const route = fc
  .tuple(
    match,
    fc.oneof(
      { weight: 3, arbitrary: fc.constant({ direct_response: { status: 200 } }) },
      { weight: 1, arbitrary: fc.constant({ direct_response: { status: 302 } }) },
      { weight: 2, arbitrary: redirect },
      { weight: 4, arbitrary: forward },
    ),
    edits,
  )
  .map(([routeMatch, action, headers]) => ({ match: routeMatch, ...action, ...headers }));

const virtualHost = fc.tuple(
  fc.subarray(domains, { minLength: 1, maxLength: 5 }),
  fc.array(route, { minLength: 2, maxLength: 8 }),
  pick(["NONE", "NONE", "NONE", "ALL"]),
  edits,
);

const request: fc.Arbitrary<TestRequest> = fc
  .tuple(
    pick(["GET", "POST", "PUT"]),
    pick(hosts),
    pick(paths),
    pick(queries),
    fc.array(fc.tuple(pick(["x-a", "x-b"]), pick(values)), { maxLength: 3 }),
    pick([undefined, undefined, "https", "http"]),
    pick([
      undefined,
      undefined,
      "application/grpc",
      "application/grpc+proto",
      "application/grpc-web",
      "application/grpc;x=1",
    ]),
  )
  .map(([method, host, path, query, headers, proto, type]) => ({
    method,
    host,
    path: `${path}${query}`,
    headers: [
      ...headers,
      ...(proto ? [["x-forwarded-proto", proto] as const] : []),
      ...(type ? [["content-type", type] as const] : []),
    ],
  }));

/** Route configurations with `requests` requests each, the same for the same seed. */
export function randomRouting(seed: number, tables: number, requests: number): RoutingCase[] {
  const routingCase = fc
    .tuple(
      fc.array(virtualHost, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      edits,
      fc.array(request, { minLength: requests, maxLength: requests }),
    )
    .map(([hostParts, ignorePort, mostSpecificWins, dropParameters, headers, asked]) => ({
      table: {
        name: "table",
        ignore_port_in_host_matching: ignorePort,
        most_specific_header_mutations_wins: mostSpecificWins,
        ignore_path_parameters_in_path_matching: dropParameters,
        ...headers,
        virtual_hosts: virtualHosts(hostParts),
      },
      requests: asked,
    }));
  return fc.sample(routingCase, { seed, numRuns: tables }) as unknown as RoutingCase[];
}

type HostParts = typeof virtualHost extends fc.Arbitrary<infer T> ? T : never;

/** No domain is in two virtual hosts; each direct response says where it stands. */
function virtualHosts(parts: readonly HostParts[]): object[] {
  const used = new Set<string>();
  return parts.flatMap(([wanted, routes, require_tls, headers], host) => {
    const own = wanted.filter((domain) => !used.has(domain.toLowerCase()) && used.add(domain.toLowerCase()));
    if (own.length === 0) return [];
    const named = routes.map((each, index) =>
      "direct_response" in each
        ? {
            ...each,
            direct_response: { ...each.direct_response, body: { inline_string: `${host}/${index}` } },
          }
        : each,
    );
    return [{ name: `host-${host}`, domains: own, routes: named, require_tls, ...headers }];
  });
}
