import type { JsonObject } from "@bufbuild/protobuf";
import { fc } from "../../peers/properties.ts";
import type { TestRequest } from "../../peers/twins/ask.ts";
import { headerMatcher, stringMatcher } from "./matchers.ts";
import { request, upstreamAnswer } from "./requests.ts";
import type { RoutedRequest } from "./routing.ts";
import { pick } from "./values.ts";

const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.http.${name}`;

/** A connection manager with filters, and requests to it. */
export interface FilterCase {
  readonly connection: JsonObject;
  readonly requests: readonly RoutedRequest[];
}

const percent = pick([0, 100, 100, 100]).map((numerator) => ({ numerator, denominator: "HUNDRED" }));
const runtime = percent.map((default_value) => ({ default_value, runtime_key: "x" }));

const range = pick([
  { address_prefix: "127.0.0.0", prefix_len: 8 },
  { address_prefix: "127.0.0.1", prefix_len: 32 },
  { address_prefix: "10.0.0.0", prefix_len: 8 },
  { address_prefix: "1.2.0.0", prefix_len: 16 },
  { address_prefix: "::1", prefix_len: 128 },
  { address_prefix: "0.0.0.0", prefix_len: 0 },
]);
const urlPath = stringMatcher.map((path) => ({ url_path: { path } }));
const byHeader = headerMatcher.map((header) => ({ header }));

const permissionLeaf: fc.Arbitrary<object> = fc.oneof(
  fc.constant({ any: true }),
  byHeader,
  urlPath,
  fc.constant({ destination_port: 1 }),
  fc.constant({ destination_port_range: { start: 1024, end: 65535 } }),
  range.map((destination_ip) => ({ destination_ip })),
  stringMatcher.map((requested_server_name) => ({ requested_server_name })),
);
const permission = fc.oneof(
  { weight: 4, arbitrary: permissionLeaf },
  permissionLeaf.map((not_rule) => ({ not_rule })),
  fc.array(permissionLeaf, { minLength: 1, maxLength: 2 }).map((rules) => ({ and_rules: { rules } })),
  fc.array(permissionLeaf, { minLength: 1, maxLength: 2 }).map((rules) => ({ or_rules: { rules } })),
);
const principalLeaf: fc.Arbitrary<object> = fc.oneof(
  fc.constant({ any: true }),
  byHeader,
  urlPath,
  fc.constant({ authenticated: {} }),
  range.map((remote_ip) => ({ remote_ip })),
  range.map((direct_remote_ip) => ({ direct_remote_ip })),
);
const principal = fc.oneof(
  { weight: 4, arbitrary: principalLeaf },
  principalLeaf.map((not_id) => ({ not_id })),
  fc.array(principalLeaf, { minLength: 1, maxLength: 2 }).map((ids) => ({ and_ids: { ids } })),
  fc.array(principalLeaf, { minLength: 1, maxLength: 2 }).map((ids) => ({ or_ids: { ids } })),
);
const policy = fc.record({
  permissions: fc.array(permission, { minLength: 1, maxLength: 2 }),
  principals: fc.array(principal, { minLength: 1, maxLength: 2 }),
});
const rules = fc
  .tuple(pick(["ALLOW", "DENY", "DENY", "LOG"]), fc.array(policy, { minLength: 1, maxLength: 2 }))
  .map(([action, list]) => ({
    action,
    policies: Object.fromEntries(list.map((each, index) => [`policy ${2 - index}`, each])),
  }));
const rbac = fc.record({ rules, shadow_rules: rules }, { requiredKeys: [] });

const cors = fc.record(
  {
    allow_origin_string_match: fc.array(
      pick([{ exact: "http://a.com" }, { suffix: ".b.com" }, { prefix: "" }].slice(0, 2)),
      {
        maxLength: 2,
      },
    ),
    allow_methods: pick(["GET,POST", ""]),
    allow_headers: pick(["x-a", ""]),
    expose_headers: pick(["x-b", ""]),
    max_age: pick(["10", ""]),
    allow_credentials: fc.boolean(),
    filter_enabled: runtime,
    allow_private_network_access: fc.boolean(),
    forward_not_matching_preflights: fc.boolean(),
  },
  { requiredKeys: ["allow_origin_string_match"] },
);

const fault = fc.record(
  {
    delay: fc.oneof(
      percent.map((percentage) => ({ fixed_delay: "0.002s", percentage })),
      percent.map((percentage) => ({ header_delay: {}, percentage })),
    ),
    abort: fc.oneof(
      fc
        .tuple(pick([200, 418, 503, 404]), percent)
        .map(([http_status, percentage]) => ({ http_status, percentage })),
      fc.tuple(pick([5, 14]), percent).map(([grpc_status, percentage]) => ({ grpc_status, percentage })),
      percent.map((percentage) => ({ header_abort: {}, percentage })),
    ),
    headers: fc.array(headerMatcher, { minLength: 1, maxLength: 1 }),
    upstream_cluster: pick(["up", "other"]),
    max_active_faults: pick([0, 5]),
  },
  { requiredKeys: [] },
);

const addedHeader = fc
  .tuple(
    pick(["x-limited", "x-a"]),
    pick(["APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT"]),
  )
  .map(([key, append_action]) => ({ header: { key, value: "limit" }, append_action }));

const rateLimit = fc
  .record(
    {
      token_bucket: pick([1, 3]).map((max_tokens) => ({
        max_tokens,
        tokens_per_fill: 1,
        fill_interval: "3600s",
      })),
      filter_enabled: runtime,
      filter_enforced: runtime,
      status: pick([{ code: "Forbidden" }, { code: "OK" }, { code: "ServiceUnavailable" }]),
      response_headers_to_add: fc.array(addedHeader, { maxLength: 2 }),
      request_headers_to_add_when_not_enforced: fc.array(addedHeader, { maxLength: 1 }),
      enable_x_ratelimit_headers: pick(["OFF", "DRAFT_VERSION_03"]),
      rate_limited_as_resource_exhausted: fc.boolean(),
      local_rate_limit_per_downstream_connection: fc.boolean(),
    },
    { requiredKeys: ["filter_enabled", "filter_enforced", "token_bucket"] },
  )
  .map((limit) => ({ stat_prefix: "limit", ...limit }));

interface Kind {
  readonly own: fc.Arbitrary<object>;
  readonly ofRoute: fc.Arbitrary<object>;
}

const kinds: Readonly<Record<string, Kind>> = {
  rbac: {
    own: rbac.map((config) => ({ "@type": type("rbac.v3.RBAC"), ...config })),
    ofRoute: fc
      .oneof(
        rbac.map((config) => ({ rbac: config })),
        fc.constant({}),
      )
      .map((config) => ({ "@type": type("rbac.v3.RBACPerRoute"), ...config })),
  },
  cors: {
    own: fc.constant({ "@type": type("cors.v3.Cors") }),
    ofRoute: cors.map((config) => ({ "@type": type("cors.v3.CorsPolicy"), ...config })),
  },
  fault: {
    own: fault.map((config) => ({ "@type": type("fault.v3.HTTPFault"), ...config })),
    ofRoute: fault.map((config) => ({ "@type": type("fault.v3.HTTPFault"), ...config })),
  },
  limit: {
    own: rateLimit.map((config) => ({ "@type": type("local_ratelimit.v3.LocalRateLimit"), ...config })),
    ofRoute: rateLimit.map((config) => ({ "@type": type("local_ratelimit.v3.LocalRateLimit"), ...config })),
  },
};

const wrapped = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

function perFilter(names: readonly string[]): fc.Arbitrary<object> {
  const entry = (name: string) =>
    fc
      .oneof(
        { weight: 2, arbitrary: fc.constant(undefined) },
        { weight: 3, arbitrary: kinds[name]!.ofRoute },
        fc.constant({ "@type": wrapped, disabled: true }),
        kinds[name]!.ofRoute.map((config) => ({ "@type": wrapped, config })),
        fc.constant({ "@type": wrapped, config: {} }),
      )
      .map((config) => (config === undefined ? [] : [[name, config] as const]));
  return fc.tuple(...names.map(entry)).map((entries) => ({
    typed_per_filter_config: Object.fromEntries(entries.flat()),
  }));
}

const details = { header: { key: "x-details", value: "%RESPONSE_CODE_DETAILS%|%RESPONSE_FLAGS%" } };

function connectionWith(names: readonly string[]): fc.Arbitrary<JsonObject> {
  const filters = fc.tuple(
    ...names.map((name) =>
      fc.tuple(kinds[name]!.own, pick([false, false, true])).map(([typed_config, disabled]) => ({
        ...{ name, typed_config },
        ...(disabled ? { disabled } : {}),
      })),
    ),
  );
  const target = pick([
    { route: { cluster: "up" } },
    { route: { cluster: "up" } },
    { direct_response: { status: 200, body: { inline_string: "direct" } } },
  ]);
  const route = fc
    .tuple(pick(["/a", "/b", "/"]), target, perFilter(names))
    .map(([prefix, to, config]) => ({ match: { prefix }, ...to, ...config }));
  return fc
    .tuple(
      filters,
      fc.array(route, { minLength: 1, maxLength: 3 }),
      perFilter(names),
      perFilter(names),
      pick([true, false]),
    )
    .map(([http_filters, routes, ofHost, ofTable, use_remote_address]) => ({
      use_remote_address,
      http_filters: [
        ...http_filters,
        { name: "composite", typed_config: { "@type": type("composite.v3.Composite") } },
        { name: "router", typed_config: { "@type": type("router.v3.Router") } },
      ],
      route_config: {
        name: "table",
        response_headers_to_add: [details],
        virtual_hosts: [{ name: "any", domains: ["*"], routes, ...ofHost }],
        ...ofTable,
      },
    })) as unknown as fc.Arbitrary<JsonObject>;
}

const more: readonly (readonly [string, string])[] = [
  ["origin", "http://a.com"],
  ["origin", "http://x.b.com"],
  ["origin", "http://c.org"],
  ["access-control-request-method", "POST"],
  ["access-control-request-private-network", "true"],
  ["x-envoy-fault-delay-request", "3"],
  ["x-envoy-fault-abort-request", "451"],
  ["x-envoy-fault-abort-grpc-request", "9"],
  ["x-envoy-fault-abort-request-percentage", "0"],
];

const asked: fc.Arbitrary<TestRequest> = fc
  .tuple(request, fc.subarray([...more], { maxLength: 4 }), fc.boolean())
  .map(([plain, headers, isPreflight]) => {
    const known = new Map(headers.map((line) => [line[0], line]));
    return {
      ...plain,
      ...(isPreflight && known.has("origin") && plain.body?.length === 0 ? { method: "OPTIONS" } : {}),
      headers: [...plain.headers, ...known.values()],
    };
  });

/** Connection managers with the native filters, `requests` to each, the same for the same seed. */
export function randomFilters(seed: number, count: number, requests: number): FilterCase[] {
  const names = fc.shuffledSubarray(Object.keys(kinds), { minLength: 1, maxLength: 3 });
  const filterCase = names.chain((chosen) =>
    fc.record({
      connection: connectionWith(chosen),
      requests: fc.array(fc.record({ request: asked, answer: upstreamAnswer }), {
        minLength: requests,
        maxLength: requests,
      }),
    }),
  );
  return fc.sample(filterCase, { seed, numRuns: count });
}
