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
