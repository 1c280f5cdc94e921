import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import { compileRoutes } from "./compile-routes.ts";
import { RefusedConfig } from "./refused-config.ts";
import { redirectLocation, rewrittenHost, rewrittenPath } from "./rewrites.ts";
import { selectRoute } from "./select-route.ts";
import { compileVirtualHosts } from "./virtual-hosts.ts";

// That all of this is as in Envoy is what test/gateway/routes-differential.test.ts shows; here it stands to be read.

function tableOf(routes: readonly JsonObject[], fields: JsonObject = {}, table: JsonObject = {}) {
  const virtual_hosts = [{ name: "all", domains: ["*"], routes: [...routes], ...fields }];
  return compileRoutes(fromJson(RouteConfigurationSchema, { name: "t", virtual_hosts, ...table }));
}

interface Asked {
  readonly path?: string;
  readonly host?: string;
  readonly headers?: readonly HeaderLine[];
  readonly random?: number;
  readonly scheme?: string;
}

const headersOf = ({ path = "/", host = "a.com", headers = [], scheme = "http" }: Asked) =>
  new HeaderMap([
    [":authority", host],
    [":path", path],
    [":method", "GET"],
    [":scheme", scheme],
    ["x-forwarded-proto", scheme],
    ...headers,
  ]);

function select(match: JsonObject, asked: Asked, table: JsonObject = {}): boolean {
  const compiled = tableOf([{ match, route: { cluster: "c" } }], {}, table);
  return selectRoute(compiled, { headers: headersOf(asked), random: asked.random ?? 0 }) !== undefined;
}

test("virtual hosts: exact, longest suffix, longest prefix, any", () => {
  const names = ["a.com", "*.a.com", "*-x.a.com", "*.x.a.com", "w.*", "w.a.*", "*", "b.com:81"];
  const find = compileVirtualHosts(
    names.map((domain) => ({ domains: [domain] })),
    false,
  );
  const found = (host: string) => find(host)?.domains[0];
  const expected: Readonly<Record<string, string>> = {
    "a.com": "a.com",
    "A.COM": "a.com",
    "z.a.com": "*.a.com",
    "z-x.a.com": "*-x.a.com",
    "z.x.a.com": "*.x.a.com",
    ".a.com": "*",
    "w.org": "w.*",
    "w.a.org": "w.a.*",
    "w.a.com": "*.a.com",
    "w.": "*",
    "b.com:81": "b.com:81",
    "b.com:82": "*",
    "c.org": "*",
  };
  for (const [host, domain] of Object.entries(expected)) assert.equal(found(host), domain, host);
});

test("virtual hosts: the port is left out where the table says so", () => {
  const find = compileVirtualHosts([{ domains: ["a.com", "[::1]"] }], true);
  for (const host of ["a.com:80", "a.com:", "a.com", "[::1]:80", "[::1]"]) assert.ok(find(host), host);
  assert.equal(find("b.com:80"), undefined);
});

test("virtual hosts: a domain twice is refused", () => {
  for (const domains of [
    ["a.com", "A.com"],
    ["*.a", "*.a"],
    ["*", "*"],
  ])
    assert.throws(() => compileVirtualHosts([{ domains }], false), RefusedConfig);
});

const pathCases: readonly (readonly [JsonObject, readonly string[], readonly string[]])[] = [
  [{ prefix: "/a" }, ["/a", "/ab", "/a/b?q"], ["/", "/A", "/b/a"]],
  [{ prefix: "/a?q" }, [], ["/a?q"]],
  [{ prefix: "/a", case_sensitive: false }, ["/A", "/a", "/Ab"], ["/b"]],
  [{ path: "/a" }, ["/a", "/a?q=1", "/a#f"], ["/a/", "/ab", "/A"]],
  [{ path: "/a", case_sensitive: false }, ["/A"], ["/b"]],
  [{ safe_regex: { regex: "/a.*c" } }, ["/abc", "/ac?x"], ["/ab", "/abcd", "/x/ac"]],
  [{ path_separated_prefix: "/a" }, ["/a", "/a/", "/a/b", "/a?q"], ["/ab", "/A"]],
];

for (const [match, hits, misses] of pathCases) {
  test(`paths: ${JSON.stringify(match)}`, () => {
    for (const path of hits) assert.ok(select(match, { path }), path);
    for (const path of misses) assert.ok(!select(match, { path }), path);
  });
}

/** A matcher of the header `x`, and which values it takes; undefined for none. */
const headerCases: readonly (readonly [
  JsonObject,
  readonly (string | undefined)[],
  readonly (string | undefined)[],
])[] = [
  [{}, ["", "a"], [undefined]],
  [{ present_match: true }, ["a"], [undefined]],
  [{ present_match: false }, [undefined], ["a"]],
  [{ present_match: true, invert_match: true }, [undefined], ["a"]],
  [{ exact_match: "a" }, ["a"], ["A", "ab", undefined]],
  [{ string_match: { exact: "a", ignore_case: true } }, ["a", "A"], ["b"]],
  [{ string_match: { exact: "a" }, invert_match: true }, ["b", ""], ["a", undefined]],
  [{ string_match: { exact: "" }, treat_missing_header_as_empty: true }, ["", undefined], ["a"]],
  [
    { string_match: { exact: "a" }, invert_match: true, treat_missing_header_as_empty: true },
    ["b", undefined],
    ["a"],
  ],
  [{ prefix_match: "a" }, ["ab"], ["ba"]],
  [{ suffix_match: "a" }, ["ba"], ["ab"]],
  [{ contains_match: "a" }, ["bab"], ["b"]],
  [{ string_match: { contains: "A", ignore_case: true } }, ["bab"], ["b"]],
  [{ safe_regex_match: { regex: "[0-9]+" } }, ["12"], ["a12", "1a"]],
  [{ range_match: { start: "-5", end: "10" } }, ["-5", "0", "9", " 9 ", "+3"], ["10", "-6", "a", "", "1.5"]],
];

for (const [matcher, hits, misses] of headerCases) {
  test(`headers: ${JSON.stringify(matcher)}`, () => {
    const selected = (value: string | undefined) =>
      select(
        { prefix: "/", headers: [{ name: "X", ...matcher }] },
        { headers: value === undefined ? [] : [["x", value]] },
      );
    for (const value of hits) assert.ok(selected(value), String(value));
    for (const value of misses) assert.ok(!selected(value), String(value));
  });
}

test("headers: of several lines one has to match, and inverted none may", () => {
  const headers: HeaderLine[] = [
    ["x", "a"],
    ["x", "b"],
  ];
  const match = (matcher: JsonObject) =>
    select({ prefix: "/", headers: [{ name: "x", ...matcher }] }, { headers });
  assert.ok(match({ exact_match: "b" }));
  assert.ok(!match({ exact_match: "a,b" }));
  assert.ok(!match({ exact_match: "b", invert_match: true }));
  assert.ok(match({ exact_match: "c", invert_match: true }));
});

const queryCases: readonly (readonly [JsonObject, readonly string[], readonly string[]])[] = [
  [{}, ["?q", "?q=", "?a&q=1"], ["", "?", "?Q=1", "?qq"]],
  [{ present_match: false }, ["", "?a"], ["?q"]],
  [{ string_match: { exact: "1" } }, ["?q=1", "?q=1&q=2"], ["?q=2&q=1", "?q", "?q=%31"]],
  [{ string_match: { prefix: "1" } }, ["?q=12"], ["?q=21"]],
  [{ string_match: { exact: "1=2" } }, ["?q=1=2"], []],
];

for (const [matcher, hits, misses] of queryCases) {
  test(`query parameters: ${JSON.stringify(matcher)}`, () => {
    const match = { prefix: "/", query_parameters: [{ name: "q", ...matcher }] };
    for (const query of hits) assert.ok(select(match, { path: `/${query}` }), query);
    for (const query of misses) assert.ok(!select(match, { path: `/${query}` }), query);
  });
}

test("gRPC: by the content type, not that of gRPC-Web", () => {
  const match = (type: string) => select({ prefix: "/", grpc: {} }, { headers: [["content-type", type]] });
  assert.ok(match("application/grpc") && match("application/grpc+proto"));
  assert.ok(!match("application/grpc-web") && !match("application/json"));
});

test("a fraction of requests, by the stream's random number", () => {
  const match = { prefix: "/", runtime_fraction: { default_value: { numerator: 30 } } };
  assert.deepEqual(
    [0, 29, 30, 99, 100, 129, 130].map((random) => select(match, { random })),
    [...[true, true, false, false], ...[true, true, false]],
  );
});

test("parameters of segments are left out where the table says so", () => {
  const table = { ignore_path_parameters_in_path_matching: true };
  assert.ok(select({ path: "/a/b" }, { path: "/a;v=1/b;w?q" }, table));
  assert.ok(!select({ path: "/a/b" }, { path: "/a;v=1/b" }));
});

test("weighted clusters, by the stream's random number", () => {
  const clusters = [
    { name: "a", weight: 1 },
    { name: "none", weight: 0 },
    { name: "b", weight: 2 },
  ];
  const table = tableOf([{ match: { prefix: "/" }, route: { weighted_clusters: { clusters } } }]);
  const chosen = [0, 1, 2, 3].map(
    (random) => selectRoute(table, { headers: headersOf({}), random })?.cluster,
  );
  assert.deepEqual(chosen, ["a", "b", "b", "a"]);
});

test("the first route that matches is taken; none is 404", () => {
  const table = tableOf([
    { name: "one", match: { path: "/a" }, route: { cluster: "c" } },
    { name: "two", match: { prefix: "/a" }, route: { cluster_header: "x-cluster" } },
  ]);
  const selected = (path: string) => {
    const headers = headersOf({ path, headers: [["x-cluster", "named"]] });
    return selectRoute(table, { headers, random: 0 });
  };
  assert.equal(selected("/a")?.route?.name, "one");
  assert.deepEqual([selected("/ab")?.route?.name, selected("/ab")?.cluster], ["two", "named"]);
  assert.equal(selected("/b"), undefined);
});

test("a virtual host that requires TLS redirects to https", () => {
  const routes = [{ match: { prefix: "/" }, route: { cluster: "c" } }];
  const asked = { headers: headersOf({ host: "a.com:80", path: "/x?y" }), random: 0 };
  const action = (require_tls: string, scheme = "http") => {
    const table = tableOf(routes, { require_tls });
    return selectRoute(table, { ...asked, headers: headersOf({ host: "a.com:80", path: "/x?y", scheme }) })
      ?.action;
  };
  const redirected = action("ALL");
  assert.ok(redirected?.kind === "https");
  assert.equal(redirectLocation(redirected, asked.headers), "https://a.com:80/x?y");
  assert.equal(action("ALL", "https")?.kind, "forward");
  assert.equal(action("NONE")?.kind, "forward");
  assert.equal(action("EXTERNAL_ONLY")?.kind, "https");
});

const redirects: readonly (readonly [JsonObject, Asked, string])[] = [
  [{}, { path: "/a?q" }, "http://a.com/a?q"],
  [{ https_redirect: true }, { host: "a.com:80" }, "https://a.com/"],
  [{ https_redirect: true }, { host: "a.com:81" }, "https://a.com:81/"],
  [{ https_redirect: true }, { host: "[::1]:80" }, "https://[::1]/"],
  [{ port_redirect: 8443 }, { host: "a.com:80" }, "http://a.com:8443/"],
  [{ host_redirect: "b.com", scheme_redirect: "https" }, { host: "a.com:80" }, "https://b.com/"],
  [{ path_redirect: "/n" }, { path: "/a?q=1" }, "http://a.com/n?q=1"],
  [{ path_redirect: "/n?o=1" }, { path: "/a?q=1" }, "http://a.com/n?o=1"],
  [{ path_redirect: "/n?o=1", strip_query: true }, { path: "/a?q=1" }, "http://a.com/n?o=1"],
  [{ prefix_rewrite: "/p" }, { path: "/a/b?q" }, "http://a.com/pa/b?q"],
  [{ strip_query: true }, { path: "/a?q" }, "http://a.com/a"],
  [
    { regex_rewrite: { pattern: { regex: "^/(.*)$" }, substitution: "/x/\\1" } },
    { path: "/a?q" },
    "http://a.com/x/a?q",
  ],
];

for (const [redirect, asked, location] of redirects) {
  test(`redirects: ${JSON.stringify(redirect)} of ${JSON.stringify(asked)}`, () => {
    const table = tableOf([{ match: { prefix: "/" }, redirect }]);
    const headers = headersOf(asked);
    const action = selectRoute(table, { headers, random: 0 })?.action;
    assert.ok(action?.kind === "redirect");
    assert.equal(redirectLocation(action, headers), location);
  });
}

const rewrites: readonly (readonly [JsonObject, JsonObject, string, string | undefined])[] = [
  [{ prefix: "/a" }, {}, "/a/b", undefined],
  [{ prefix: "/a" }, { prefix_rewrite: "/x" }, "/a/b?q=/a", "/x/b?q=/a"],
  [{ prefix: "/A", case_sensitive: false }, { prefix_rewrite: "/x" }, "/a/b", "/x/b"],
  [{ path: "/a" }, { prefix_rewrite: "/x" }, "/a?q", "/x?q"],
  [{ safe_regex: { regex: "/a.*" } }, { prefix_rewrite: "/x" }, "/a/b?q", "/x?q"],
  [
    { prefix: "/" },
    { regex_rewrite: { pattern: { regex: "(a)(b)?" }, substitution: "\\2\\1\\\\$1" } },
    "/ab/a?a",
    "/ba\\$1/a\\$1?a",
  ],
];

for (const [match, rewrite, path, expected] of rewrites) {
  test(`rewrites: ${JSON.stringify(rewrite)} of ${path} by ${JSON.stringify(match)}`, () => {
    const table = tableOf([{ match, route: { cluster: "c", ...rewrite } }]);
    const action = selectRoute(table, { headers: headersOf({ path }), random: 0 })?.action;
    assert.ok(action?.kind === "forward");
    assert.equal(rewrittenPath(action, path), expected);
  });
}

test("the host is rewritten by a literal, a header, the path, or the endpoint", () => {
  const host = (rewrite: JsonObject) => {
    const table = tableOf([{ match: { prefix: "/" }, route: { cluster: "c", ...rewrite } }]);
    const headers = headersOf({ path: "/b.com/x?y", headers: [["x-host", "h.com"]] });
    return rewrittenHost(selectRoute(table, { headers, random: 0 })!, headers);
  };
  assert.equal(host({}), undefined);
  assert.equal(host({ host_rewrite_literal: "l.com" }), "l.com");
  assert.equal(host({ host_rewrite_header: "X-Host" }), "h.com");
  assert.equal(host({ host_rewrite_header: "x-none" }), undefined);
  const pattern = { pattern: { regex: "^/([^/]+)/.*" }, substitution: "\\1" };
  assert.equal(host({ host_rewrite_path_regex: pattern }), "b.com");
  assert.deepEqual(host({ auto_host_rewrite: true }), { auto: true });
});

const refused: readonly (readonly [JsonObject, RegExp])[] = [
  [{ match: { prefix: "/" } }, /routes\[0\]\.action: is required/],
  [{ route: { cluster: "c" } }, /routes\[0\]\.match: is required/],
  [{ match: {}, route: { cluster: "c" } }, /match\.path_specifier: is required/],
  [{ match: { safe_regex: { regex: "a(?=b)" } }, route: { cluster: "c" } }, /safe_regex\.regex: /],
  [{ match: { path_separated_prefix: "/a/" }, route: { cluster: "c" } }, /path_separated_prefix: /],
  [{ match: { prefix: "/" }, route: {} }, /cluster_specifier: is required/],
  [
    { match: { prefix: "/" }, route: { weighted_clusters: { clusters: [{ name: "a" }] } } },
    /weighted_clusters: sum of weights/,
  ],
  [{ match: { prefix: "/" }, direct_response: { status: 99 } }, /direct_response\.status: 99/],
  [
    { match: { prefix: "/" }, route: { cluster: "c" }, request_headers_to_remove: ["host"] },
    /request_headers_to_remove\[0\]: :-prefixed or host headers may not be modified/,
  ],
  [
    {
      match: { prefix: "/" },
      route: { cluster: "c" },
      response_headers_to_add: [{ header: { key: "x", value: "%NOPE%" } }],
    },
    /response_headers_to_add\[0\]\.header\.value: not supported field in format string: NOPE/,
  ],
  [
    {
      match: { prefix: "/" },
      route: { cluster: "c", regex_rewrite: { pattern: { regex: "a" }, substitution: "\\1" } },
    },
    /regex_rewrite\.substitution: \\1 is not a group/,
  ],
];

for (const [route, reason] of refused) {
  test(`refused: ${JSON.stringify(route)}`, () => {
    assert.throws(
      () => tableOf([route]),
      (error) => error instanceof RefusedConfig && reason.test(error.message),
    );
  });
}

test("an expression that would backtrack without end answers", () => {
  assert.ok(!select({ safe_regex: { regex: "/(a+)+b" } }, { path: `/${"a".repeat(5000)}` }));
});
