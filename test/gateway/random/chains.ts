import type { JsonObject } from "@bufbuild/protobuf";
import { fc } from "../../peers/properties.ts";
import type { TestRequest } from "../../peers/twins/ask.ts";
import type { UpstreamAnswer } from "../../peers/twins/noting-upstream.ts";
import { type Plugin, probe, wasm } from "./plugins.ts";
import { request, upstreamAnswer } from "./requests.ts";
import { pick } from "./values.ts";

const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.http.${name}`;

/** A connection manager with a chain of plugins, what it gets by ECDS, and requests to it. */
export interface ChainCase {
  readonly connection: JsonObject;
  readonly extensionConfigs: readonly JsonObject[];
  readonly requests: readonly {
    readonly request: TestRequest;
    readonly answer: UpstreamAnswer;
    /** What the called upstream answers. */
    readonly called: UpstreamAnswer;
  }[];
}

/** The probe's maps: 0 request headers, 1 request trailers, 2 response headers, 3 response trailers. */
type Step = readonly unknown[];

const names = ["x-a", "x-b", "x-p", "cookie", "x-new", "content-type", "via", "x-request-id"];
const requestNames = [
  ...names,
  "accept",
  "x-forwarded-for",
  "user-agent",
  "x-envoy-original-path",
  "te",
  "x-envoy-max-retries",
  "x-forwarded-proto",
];
const responseNames = [...names, "server", "date", "x-envoy-upstream-service-time", "set-cookie", "location"];
const change = (map: number, keys: readonly string[]): fc.Arbitrary<Step> =>
  fc.oneof(
    fc
      .tuple(pick(keys), pick(["1", "two", ""]))
      .map(([key, value]) => ["add_header_map_value", map, key, value]),
    fc
      .tuple(pick(keys), pick(["r", ""]))
      .map(([key, value]) => ["replace_header_map_value", map, key, value]),
    pick(keys).map((key) => ["remove_header_map_value", map, key]),
  );
const replacing = (lines: readonly (readonly [string, string])[]): Step[] =>
  lines.map(([key, value]) => ["replace_header_map_value", 0, key, value]);
const reroute: fc.Arbitrary<Step> = pick([
  ...replacing([
    [":path", "/b/rerouted?x=1"],
    [":path", "/none"],
    [":authority", "b.com"],
    [":method", "PUT"],
    ["x-route", "c"],
    [":method", "HEAD"],
    [":method", "GET"],
    [":method", "OPTIONS"],
    [":path", "/b#frag"],
    [":path", "/a/../b"],
    [":authority", "B.com:80"],
  ]),
  ["add_header_map_value", 0, ":path", "x"],
  ["remove_header_map_value", 0, "host"],
  ["remove_header_map_value", 0, ":scheme"],
  ...replacing([
    [":scheme", "https"],
    ["host", "b.com"],
  ]),
  ["call_foreign_function", "clear_route_cache", ""],
]);
const reply: fc.Arbitrary<Step> = pick([
  [
    "send_local_response",
    403,
    "plugin.denied",
    "no",
    [
      ["x-reply", "1"],
      ["content-type", "text/html"],
    ],
    -1,
  ],
  ["send_local_response", 200, "plugin.fine", "", [["x-a", "reply"]], -1],
  ["send_local_response", 429, "two words", "slow down", [], 8],
]);
const call: Step = [
  "http_call",
  "called",
  [
    [":method", "POST"],
    [":path", "/check?a"],
    [":authority", "auth"],
    ["X-C", "1"],
  ],
  "asked",
  [],
  5000,
];

const headersPhase = (map: 0 | 2) =>
  fc
    .tuple(
      fc.array(change(map, map === 0 ? requestNames : responseNames), { maxLength: 3 }),
      map === 0 ? fc.array(reroute, { maxLength: 1 }) : fc.constant([]),
      fc.oneof(
        { weight: 5, arbitrary: fc.constant([]) },
        reply.map((step) => [step]),
      ),
    )
    .map((parts) => parts.flat() as Step[]);

/** The request waits for a call, whose answer decides. */
const calling = fc
  .tuple(
    fc.array(change(0, requestNames), { maxLength: 2 }),
    fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, reply),
  )
  .map(([changes, answer]) => ({
    on_request_headers: [call, ["return", 1]],
    on_http_call_response: [
      ["set_effective_context", "$stream"],
      ...(answer ? [answer] : [...changes, ["continue_stream", 0]]),
    ],
  }));

const plain = fc
  .record(
    {
      on_request_headers: headersPhase(0),
      on_response_headers: headersPhase(2),
      "on_request_body#1": pick<Step[]>([
        [["set_buffer_bytes", 0, 0, 0, "<"]],
        [["set_buffer_bytes", 0, 0, 2, "++"]],
      ]),
      "on_response_body#1": pick<Step[]>([[["set_buffer_bytes", 1, 0, 0, ">"]]]),
      on_request_trailers: fc.array(change(1, ["x-t", "x-more"]), { maxLength: 2 }),
      on_response_trailers: fc.array(change(3, ["x-trailer", "x-more"]), { maxLength: 2 }),
    },
    { requiredKeys: [] },
  )
  .map((script) => withoutLengths(script as Record<string, readonly Step[]>));

/** Whoever changes a body takes its length away. */
function withoutLengths(script: Record<string, readonly Step[]>): Record<string, readonly Step[]> {
  const changed = { ...script };
  const first = (callback: string, map: number) => {
    changed[callback] = [["remove_header_map_value", map, "content-length"], ...(script[callback] ?? [])];
  };
  if (script["on_request_body#1"]) first("on_request_headers", 0);
  if (script["on_response_body#1"]) first("on_response_headers", 2);
  return changed;
}

const rule = fc
  .tuple(pick(["append", "add"]), pick(["x-a", "x-b", "x-rule"]))
  .map(([operate, key]) =>
    operate === "append"
      ? { operate, headers: [{ key, appendValue: "ruled" }] }
      : { operate, headers: [{ key, value: "ruled" }] },
  );

const plugin: fc.Arbitrary<Plugin> = fc.oneof(
  {
    weight: 4,
    arbitrary: plain.map(probe),
  },
  calling.map(probe),
  fc.array(rule, { minLength: 1, maxLength: 2 }).chain((rules) =>
    pick([{ reqRules: rules }, { respRules: rules }]).map((config) => ({
      file: "plugins/transformer",
      config,
    })),
  ),
  fc.constant({
    file: "plugins/key-auth",
    config: { keys: ["x-a"], in_header: true, consumers: [{ name: "one", credential: "1" }] },
  }),
);

type Form = "inline" | "discovery" | "chain" | "default";

interface Parts {
  readonly filters: JsonObject[];
  readonly extensionConfigs: JsonObject[];
}

const composite: JsonObject = { "@type": type("composite.v3.Composite") };

/** Puts plugins into a listener: inline, a slot for each, or all in one; `default` has a slot that nothing comes for. */
function place(form: Form, plugins: readonly Plugin[], prefix: string): Parts {
  const named = plugins.map((each, index) => [`${prefix}-${index}`, each] as const);
  const slot = (name: string, type_urls: string[], more: JsonObject = {}) => ({
    name,
    config_discovery: { config_source: {}, type_urls, ...more },
  });
  if (form === "inline")
    return {
      filters: named.map(([name, each]) => ({ name, typed_config: wasm(name, each) })),
      extensionConfigs: [],
    };
  if (form === "chain") {
    const filters = named.map(([name, each]) => ({ name, typed_config: wasm(name, each) }));
    const typed_config = {
      "@type": type("filter_chain.v3.FilterChainConfig"),
      default_filter_chain: { filters },
    };
    return {
      filters: [slot(prefix, [type("filter_chain.v3.FilterChainConfig")])],
      extensionConfigs: [{ name: prefix, typed_config }],
    };
  }
  const missing = form === "default" ? 1 : 0;
  const passing = { default_config: composite, apply_default_config_without_warming: true };
  return {
    filters: named.map(([name]) =>
      slot(name, [type("wasm.v3.Wasm"), type("composite.v3.Composite")], form === "default" ? passing : {}),
    ),
    extensionConfigs: named.slice(missing).map(([name, each]) => ({ name, typed_config: wasm(name, each) })),
  };
}

const details = { header: { key: "x-details", value: "%RESPONSE_CODE_DETAILS%|%ROUTE_NAME%" } };
const routes = [
  {
    name: "c",
    match: { prefix: "/", headers: [{ name: "x-route", string_match: { exact: "c" } }] },
    route: { cluster: "other", prefix_rewrite: "/c/" },
  },
  {
    name: "b",
    match: { prefix: "/b" },
    route: { cluster: "other" },
    response_headers_to_add: [{ header: { key: "x-b", value: "route" } }],
  },
  {
    name: "none",
    match: { prefix: "/none" },
    direct_response: { status: 404, body: { inline_string: "none" } },
  },
  { name: "all", match: { prefix: "/" }, route: { cluster: "up" } },
];

/** Connection managers with two to four plugins each, the same for the same seed. */
export function randomChains(seed: number, count: number, requests: number): ChainCase[] {
  const chainCase = fc.record({
    form: pick<Form>(["inline", "inline", "discovery", "chain", "default"]),
    plugins: fc.array(plugin, { minLength: 2, maxLength: 4 }),
    enable_trailers: fc.boolean(),
    requests: fc.array(fc.record({ request, answer: upstreamAnswer, called: upstreamAnswer }), {
      minLength: requests,
      maxLength: requests,
    }),
  });
  return fc
    .sample(chainCase, { seed, numRuns: count })
    .map(({ form, plugins, enable_trailers, requests: asked }, at) => {
      const { filters, extensionConfigs } = place(form, plugins, `chain-${at}`);
      const virtual_hosts = [
        {
          name: "b",
          domains: ["b.com"],
          routes: [{ name: "host-b", match: { prefix: "/" }, route: { cluster: "other" } }],
        },
        { name: "any", domains: ["*"], routes },
      ];
      return {
        connection: {
          http_protocol_options: { enable_trailers },
          http_filters: [...filters, { name: "router", typed_config: { "@type": type("router.v3.Router") } }],
          route_config: { name: "table", virtual_hosts, response_headers_to_add: [details] },
        } as unknown as JsonObject,
        extensionConfigs,
        requests: asked.map((each) => ({ ...each, request: framed(each.request) })),
      };
    });
}

/** Which parts a body comes in is up to chance: plugins that look at parts get one. */
function framed(plainRequest: TestRequest): TestRequest {
  const { body = [] } = plainRequest;
  return { ...plainRequest, body: body.length > 1 ? [body.join("")] : body };
}
