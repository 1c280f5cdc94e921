import type { JsonObject } from "@bufbuild/protobuf";
import type { SentRequest } from "./gateway-pair.ts";
import type { UpstreamName } from "./scripted-upstreams.ts";

/** A cluster with a route to it, and what is asked of it. */
export interface UpstreamCase {
  readonly name: string;
  /** The endpoints of the cluster. */
  readonly to: readonly UpstreamName[];
  /** Fields of the cluster beside the endpoints. */
  readonly cluster?: JsonObject;
  /** Fields of the route's action beside the cluster. */
  readonly route?: JsonObject;
  readonly virtualHost?: JsonObject;
  readonly send: readonly SentRequest[];
  /** All at once: those to `/held` are answered when the others have been. */
  readonly atOnce?: boolean;
}

const get = (path: string, headers: Record<string, string> = {}): SentRequest => ({ path, headers });
/** As somebody inside may ask. */
const getInside = (path: string, headers: Record<string, string>): SentRequest =>
  get(path, { "x-forwarded-for": "127.0.0.1", ...headers });
const post = (path: string, body: string, headers: Record<string, string> = {}): SentRequest => ({
  method: "POST",
  path,
  body,
  headers,
});

const options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const speaks = (fields: JsonObject): JsonObject => ({
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": { "@type": options, ...fields },
  },
});
const http2 = (fields: JsonObject = {}) =>
  speaks({ explicit_http_config: { http2_protocol_options: fields } });

const http1Cases: UpstreamCase[] = [
  {
    name: "HTTP/1: answers",
    to: ["http1"],
    send: [
      get("/"),
      post("/", "body"),
      get("/status/404"),
      get("/trailers"),
      get("/hints"),
      get("/close"),
      get("/"),
      { method: "DELETE", path: "/" },
      { method: "OPTIONS", path: "/" },
      post("/", "x", { te: "trailers, deflate" }),
      get("/half"),
    ],
  },
  {
    name: "HTTP/1: what is none",
    to: ["raw"],
    route: { timeout: "0.5s" },
    send: [
      "/garbage",
      "/two-lengths",
      "/length-and-chunks",
      "/bad-chunk",
      "/http10",
      "/http10-length",
      "/no-reason",
      "/half-head",
      "/extra",
      "/status-99",
      "/body-304",
      "/gzip-coding",
      "/space-name",
      "/close",
    ].map((path) => get(path)),
  },
  {
    name: "nobody listens",
    to: ["closed"],
    send: [get("/"), get("/", { "content-type": "application/grpc" })],
  },
  { name: "no endpoints", to: [], send: [get("/")] },
  {
    name: "nobody answers in time",
    to: ["http1"],
    route: { timeout: "0.2s" },
    send: [get("/never")],
  },
  {
    name: "TLS does not come about in time",
    to: ["silent"],
    cluster: { connect_timeout: "0.2s", ...tls({}) },
    send: [get("/")],
  },
];

function tls(fields: JsonObject): JsonObject {
  return {
    transport_socket: {
      name: "tls",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        ...fields,
      },
    },
  };
}

const http2Cases: UpstreamCase[] = [
  {
    name: "HTTP/2: answers",
    to: ["http2"],
    cluster: http2(),
    send: [
      get("/"),
      post("/", "body"),
      get("/status/404"),
      get("/hints"),
      get("/empty"),
      post("/", "x", { te: "trailers, deflate" }),
      get("/", { cookie: "a=1; b=2", "x-many": "1" }),
    ],
  },
  {
    name: "HTTP/2: resets",
    to: ["http2"],
    route: { timeout: "0.5s" },
    cluster: http2(),
    send: [
      get("/reset/0"),
      get("/reset/1"),
      get("/reset/2"),
      get("/reset/7"),
      get("/reset/8"),
      get("/half/2"),
      get("/half/0"),
      get("/cut"),
      get("/"),
      get("/goaway"),
      get("/"),
      get("/goaway-all"),
      get("/"),
    ],
  },
  { name: "HTTP/2: nobody listens", to: ["closed"], cluster: http2(), send: [get("/")] },
  { name: "HTTP/2 to what speaks HTTP/1", to: ["http1"], cluster: http2(), send: [get("/")] },
  {
    name: "HTTP/2: one stream at a time",
    to: ["http2"],
    cluster: {
      ...http2({ max_concurrent_streams: 1 }),
      circuit_breakers: { thresholds: [{ max_connections: 1 }] },
    },
    send: [get("/held"), get("/held")],
    atOnce: true,
  },
  {
    name: "HTTP/2: limits",
    to: ["http2"],
    cluster: { ...http2(), circuit_breakers: { thresholds: [{ max_requests: 1 }] } },
    send: [get("/held"), get("/")],
    atOnce: true,
  },
];

const retry = (fields: JsonObject): JsonObject => ({
  retry_policy: { retry_back_off: { base_interval: "0.001s" }, ...fields },
});

const retryCases: UpstreamCase[] = [
  {
    name: "retries of 5xx",
    to: ["http1"],
    route: retry({ retry_on: "5xx", num_retries: 2 }),
    send: [
      get("/first/503"),
      post("/first/500/a", "body"),
      get("/status/503"),
      get("/status/404"),
      get("/first-cut"),
    ],
  },
  {
    name: "retries of gateway errors",
    to: ["http1"],
    route: retry({ retry_on: "gateway-error" }),
    send: [get("/first/500"), get("/first/502"), get("/first/504")],
  },
  {
    name: "retries of a conflict, and of wanted statuses",
    to: ["http1"],
    route: retry({ retry_on: "retriable-4xx,retriable-status-codes", retriable_status_codes: [418, 429] }),
    send: [get("/first/409"), get("/first/418"), get("/first/429"), get("/first/503"), get("/first/404")],
  },
  {
    name: "retries by a header",
    to: ["http1"],
    route: retry({
      retry_on: "retriable-headers",
      retriable_headers: [{ name: "x-again", present_match: true }],
    }),
    send: [get("/header/x-again"), get("/header/x-other")],
  },
  {
    name: "no retries where the upstream is overloaded",
    to: ["http1"],
    route: retry({ retry_on: "5xx" }),
    send: [get("/header-503/x-envoy-overloaded"), get("/header-503/x-envoy-ratelimited")],
  },
  {
    name: "retries after resets",
    to: ["raw"],
    route: retry({ retry_on: "reset", num_retries: 2 }),
    send: [get("/close"), get("/garbage")],
  },
  {
    name: "retries of connections",
    to: ["closed"],
    route: retry({ retry_on: "connect-failure", num_retries: 3 }),
    send: [get("/")],
  },
  {
    name: "retries before the request",
    to: ["closed"],
    route: retry({ retry_on: "reset-before-request", num_retries: 1 }),
    send: [get("/")],
  },
  {
    name: "retries of refused streams",
    to: ["http2"],
    cluster: http2(),
    route: retry({ retry_on: "refused-stream" }),
    send: [get("/first-reset/7"), get("/first-reset/2"), get("/reset/7")],
  },
  {
    name: "retries of gRPC statuses",
    to: ["http2"],
    cluster: http2(),
    route: retry({ retry_on: "unavailable,cancelled" }),
    send: [
      get("/grpc/14", { "content-type": "application/grpc" }),
      get("/grpc/1", { "content-type": "application/grpc" }),
      get("/grpc/5", { "content-type": "application/grpc" }),
      get("/grpc/0", { "content-type": "application/grpc" }),
    ],
  },
  {
    name: "an attempt that takes too long",
    to: ["http1"],
    route: { ...retry({ retry_on: "5xx", per_try_timeout: "0.15s" }), timeout: "5s" },
    send: [get("/first-never"), get("/never")],
  },
  {
    name: "an attempt that takes too long, without retries",
    to: ["http1"],
    route: { ...retry({ retry_on: "connect-failure", per_try_timeout: "0.15s" }), timeout: "5s" },
    send: [get("/never")],
  },
  {
    name: "the whole time is over first",
    to: ["http1"],
    route: { ...retry({ retry_on: "5xx", per_try_timeout: "5s" }), timeout: "0.2s" },
    send: [get("/never")],
  },
  {
    name: "what requests ask for",
    to: ["http1"],
    send: [
      getInside("/first/503", { "x-envoy-retry-on": "5xx" }),
      getInside("/status/503", { "x-envoy-retry-on": "5xx", "x-envoy-max-retries": "3" }),
      getInside("/first/418", {
        "x-envoy-retry-on": "retriable-status-codes",
        "x-envoy-retriable-status-codes": "418,429",
      }),
      getInside("/header/x-again", {
        "x-envoy-retry-on": "retriable-headers",
        "x-envoy-retriable-header-names": "x-again",
      }),
      getInside("/never", { "x-envoy-upstream-rq-timeout-ms": "150" }),
      getInside("/never", {
        "x-envoy-upstream-rq-timeout-ms": "5000",
        "x-envoy-upstream-rq-per-try-timeout-ms": "100",
        "x-envoy-retry-on": "5xx",
      }),
      getInside("/first/500", { "x-envoy-max-retries": "3" }),
    ],
  },
  {
    name: "retries of the virtual host, and how many there were",
    to: ["http1"],
    virtualHost: {
      include_request_attempt_count: true,
      include_attempt_count_in_response: true,
      retry_policy: { retry_on: "5xx", num_retries: 2, retry_back_off: { base_interval: "0.001s" } },
    },
    send: [get("/first/503"), get("/status/503")],
  },
];

const limited = (fields: JsonObject): JsonObject => ({ circuit_breakers: { thresholds: [fields] } });

const limitCases: UpstreamCase[] = [
  {
    name: "not more requests than may be",
    to: ["http1"],
    cluster: limited({ max_requests: 1 }),
    send: [get("/held"), get("/")],
    atOnce: true,
  },
  {
    name: "nobody may wait",
    to: ["http1"],
    cluster: limited({ max_connections: 1, max_pending_requests: 0 }),
    send: [get("/")],
  },
  {
    name: "one connection, one waits",
    to: ["http1"],
    cluster: limited({ max_connections: 1, max_pending_requests: 1 }),
    send: [get("/held"), get("/held"), get("/")],
    atOnce: true,
  },
  {
    name: "requests of high priority have limits of their own",
    to: ["http1"],
    cluster: {
      circuit_breakers: {
        thresholds: [{ max_requests: 0 }, { priority: "HIGH", max_requests: 1 }],
      },
    },
    route: { priority: "HIGH" },
    send: [get("/held"), get("/")],
    atOnce: true,
  },
  {
    name: "no retries are left",
    to: ["http1"],
    cluster: limited({ max_retries: 0 }),
    route: retry({ retry_on: "5xx" }),
    send: [get("/status/503")],
  },
  {
    name: "a budget of retries",
    to: ["http1"],
    cluster: limited({ retry_budget: { budget_percent: { value: 1 }, min_retry_concurrency: 1 } }),
    route: retry({ retry_on: "5xx" }),
    send: [get("/first/503"), get("/status/503")],
  },
  {
    name: "connections that take one request",
    to: ["http1"],
    cluster: speaks({
      explicit_http_config: { http_protocol_options: {} },
      common_http_protocol_options: { max_requests_per_connection: 1 },
    }),
    send: [get("/"), get("/")],
  },
  {
    name: "HTTP/2 connections that take two requests",
    to: ["http2"],
    cluster: speaks({
      explicit_http_config: { http2_protocol_options: {} },
      common_http_protocol_options: { max_requests_per_connection: 2 },
    }),
    send: [get("/"), get("/"), get("/")],
  },
];

const tlsCases: UpstreamCase[] = [
  { name: "TLS without validation", to: ["tls1"], cluster: tls({}), send: [get("/")] },
  { name: "TLS and HTTP/2", to: ["tls2"], cluster: { ...http2(), ...tls({}) }, send: [get("/")] },
  {
    name: "what TLS agrees on",
    to: ["tls2"],
    cluster: { ...speaks({ auto_config: {} }), ...tls({}) },
    send: [get("/"), post("/", "body")],
  },
  {
    name: "what TLS agrees on: HTTP/1",
    to: ["tls1"],
    cluster: { ...speaks({ auto_config: {} }), ...tls({}) },
    send: [get("/"), post("/", "body")],
  },
  { name: "TLS to plaintext", to: ["http1"], cluster: tls({}), send: [get("/")] },
];

export const upstreamCases: readonly UpstreamCase[] = [
  ...http1Cases,
  ...http2Cases,
  ...retryCases,
  ...limitCases,
  ...tlsCases,
];
