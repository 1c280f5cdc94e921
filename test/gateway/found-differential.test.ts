import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { TestRequest } from "../peers/twins/ask.ts";
import type { UpstreamAnswer } from "../peers/twins/noting-upstream.ts";
import { startTwins, type Twins } from "../peers/twins/twins.ts";
import { compareExchanges } from "./compare.ts";
import { unintended } from "./differences.ts";
import { probe, wasm } from "./random/plugins.ts";

/** A request at which the gateway once differed from Envoy, with no more around it than it takes. */
interface FoundCase {
  readonly filters?: readonly JsonObject[];
  readonly route?: JsonObject;
  readonly connection?: JsonObject;
  readonly request: Partial<TestRequest>;
  readonly answer?: UpstreamAnswer;
}

const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.http.${name}`;
const plugin = (script: object): JsonObject => ({
  name: "plugin",
  typed_config: wasm("plugin", probe(script)),
});
const grpc = ["content-type", "application/grpc"] as const;
const refusal = ["send_local_response", 429, "busy", "slow down", [], 8];
const asks = (method: string) => ["replace_header_map_value", 0, ":method", method];

const adds = (key: string) => ({ request_headers_to_add: [{ header: { key, value: "%REQ(:AUTHORITY)%" } }] });

const words = (text: string) => text.split(/\s+/);
const twice = (map: 0 | 2, names: readonly string[]) =>
  names.flatMap((name) => ["1", "2"].map((value) => ["add_header_map_value", map, name, value]));
const repeated = (name: string) => [[name, "1"] as const, [name, "2"] as const];
const requestNames =
  words(`accept accept-encoding accept-language access-control-request-headers access-control-request-method
  authorization cache-control content-encoding content-type cookie forwarded grpc-accept-encoding grpc-timeout if-match if-modified-since
  if-none-match if-range if-unmodified-since origin pragma proxy-status referer traceparent tracestate user-agent via x-b3-traceid x-client-trace-id x-datadog-trace-id
  x-envoy-attempt-count x-envoy-decorator-operation x-envoy-downstream-service-cluster x-envoy-downstream-service-node
  x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-hedge-on-per-try-timeout x-envoy-internal
  x-envoy-ip-tags x-envoy-max-retries x-envoy-original-host x-envoy-original-path x-envoy-original-url x-envoy-original-method
  x-envoy-retriable-header-names x-envoy-retriable-status-codes x-envoy-retry-grpc-on x-envoy-retry-on x-envoy-upstream-alt-stat-name
  x-envoy-upstream-rq-per-try-timeout-ms x-envoy-upstream-rq-timeout-alt-response x-envoy-upstream-rq-timeout-ms
  x-envoy-upstream-stream-duration-ms x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-ot-span-context
  x-real-ip x-request-id`);
const responseNames =
  words(`access-control-allow-credentials access-control-allow-headers access-control-allow-methods
  access-control-allow-origin access-control-allow-private-network access-control-expose-headers access-control-max-age age
  cache-control content-encoding content-type date etag expires last-modified location proxy-status retry-after server set-cookie
  strict-transport-security trailer vary via www-authenticate x-envoy-attempt-count x-envoy-decorator-operation x-envoy-degraded
  x-envoy-immediate-health-check-fail x-envoy-overloaded x-envoy-ratelimited x-envoy-upstream-canary
  x-envoy-upstream-healthchecked-cluster x-envoy-upstream-service-time x-request-id grpc-status grpc-message`);

const found: Readonly<Record<string, FoundCase>> = {
  "a plugin makes another method of HEAD and answers gRPC": {
    filters: [plugin({ on_request_headers: [asks("PUT"), refusal] })],
    request: { method: "HEAD", headers: [grpc] },
  },
  "a plugin makes HEAD of another method and answers": {
    filters: [plugin({ on_request_headers: [asks("HEAD"), refusal] })],
    request: { method: "POST" },
  },
  "a plugin takes gRPC's type away and answers": {
    filters: [
      plugin({ on_request_headers: [["replace_header_map_value", 0, "content-type", "a/b"], refusal] }),
    ],
    request: { method: "POST", headers: [grpc] },
  },
  "a preflight that says gRPC": {
    filters: [{ name: "cors", typed_config: { "@type": type("cors.v3.Cors") } }],
    route: {
      route: { cluster: "up" },
      typed_per_filter_config: {
        cors: { "@type": type("cors.v3.CorsPolicy"), allow_origin_string_match: [{ prefix: "http" }] },
      },
    },
    request: {
      method: "OPTIONS",
      headers: [["origin", "http://a.com"], ["access-control-request-method", "PUT"], grpc],
    },
  },
  "gRPC with a path that is refused": {
    connection: { path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT" },
    request: { path: "/a%2fb", headers: [grpc] },
  },
  "a type said twice with a path that is refused: no gRPC": {
    connection: { path_with_escaped_slashes_action: "REJECT_REQUEST" },
    request: { path: "/a%2fb", headers: [grpc, grpc] },
  },
  "a type said twice with a path that is sent back: no gRPC": {
    connection: { path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT" },
    request: { path: "/a%2fb", headers: [grpc, grpc] },
  },
  "a route adds the host that a weighted cluster has rewritten": {
    route: {
      route: {
        weighted_clusters: {
          clusters: [{ name: "up", weight: 1, host_rewrite_literal: "new.org", ...adds("x-of-cluster") }],
        },
      },
      ...adds("x-of-route"),
    },
    request: {},
  },
  "headers of requests that there is one line of": {
    filters: [plugin({ on_request_headers: twice(0, requestNames) })],
    request: {},
  },
  "headers of responses that there is one line of": {
    filters: [plugin({ on_response_headers: twice(2, responseNames) })],
    request: {},
  },
  "headers that a client sends twice": {
    request: { headers: requestNames.slice(0, 45).flatMap(repeated) },
  },
  "headers that a client sends twice, the others": {
    request: { headers: requestNames.slice(45).flatMap(repeated) },
  },
  "headers that an upstream sends twice": {
    request: {},
    answer: { headers: responseNames.filter((name) => name !== "trailer").flatMap(repeated) },
  },
  "a plugin takes x-forwarded-proto away": {
    filters: [plugin({ on_request_headers: [["remove_header_map_value", 0, "x-forwarded-proto"]] })],
    request: {},
  },
  "a redirect for a client that says to speak something else than it does": {
    filters: [plugin({ on_request_headers: [["replace_header_map_value", 0, ":scheme", "https"]] })],
    route: { redirect: { path_redirect: "/new" } },
    request: { host: "a.com:80" },
  },
};

const request: TestRequest = { method: "GET", host: "a.com", path: "/", headers: [], body: [] };
let twins: Twins;

before(async () => {
  twins = await startTwins({ connections: Object.values(found).map(connectionOf) });
});

after(() => twins?.close());

function connectionOf({ filters = [], route, connection }: FoundCase): JsonObject {
  const routes = [{ match: { prefix: "/" }, ...(route ?? { route: { cluster: "up" } }) }];
  return {
    ...connection,
    http_filters: [...filters, { name: "router", typed_config: { "@type": type("router.v3.Router") } }],
    route_config: { name: "table", virtual_hosts: [{ name: "any", domains: ["*"], routes }] },
  };
}

for (const [index, [name, each]] of Object.entries(found).entries())
  test(`as Envoy: ${name}`, async () => {
    twins.setAnswer(each.answer ?? {});
    const asked = { ...request, ...each.request };
    const both = await twins.exchange(index, asked);
    assert.deepEqual(unintended(compareExchanges(both), { request: asked, envoy: both.envoy }), []);
  });
