import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { freePort } from "../peers/ports.ts";
import type { TestRequest } from "../peers/twins/ask.ts";
import type { UpstreamAnswer } from "../peers/twins/noting-upstream.ts";
import { clusterJson, type Side, startTwins, type Twins } from "../peers/twins/twins.ts";
import { until } from "../peers/until.ts";
import { comparedLine, operators } from "./log-values.ts";

const filters = "type.googleapis.com/envoy.extensions.filters.http";
const routes = [
  ...["refusing", "empty", "nowhere", "full"].map((cluster) => ({
    name: cluster,
    match: { path: `/${cluster}` },
    route: { cluster },
  })),
  { name: "slow", match: { path: "/slow" }, route: { cluster: "up", timeout: "0.05s" } },
  {
    name: "retry",
    match: { path: "/retry" },
    route: { cluster: "up", retry_policy: { retry_on: "5xx", num_retries: 1 } },
  },
  {
    name: "direct",
    match: { path: "/direct" },
    direct_response: { status: 404, body: { inline_string: "no" } },
  },
  { name: "redirect", match: { path: "/redirect" }, redirect: { host_redirect: "x.org" } },
  { name: "all", match: { prefix: "/up" }, route: { cluster: "up", prefix_rewrite: "/new" } },
];

interface LoggedRequest {
  readonly path: string;
  readonly answer?: UpstreamAnswer;
  readonly more?: Partial<TestRequest>;
}

const grpc: Partial<TestRequest> = { headers: [["content-type", "application/grpc"]] };
/** One for each way in which a stream can end. */
const requests: readonly LoggedRequest[] = [
  { path: "/up/a?q=1%20b&r", more: { method: "POST", body: ["abc"] } },
  { path: "/up", answer: { headers: [["x-b", "1"]], trailers: [["x-trailer", "1"]] } },
  { path: "/refusing" },
  { path: "/empty" },
  { path: "/nowhere" },
  { path: "/full" },
  { path: "/slow", answer: { hang: true } },
  { path: "/retry", answer: { status: 503 } },
  { path: "/direct" },
  { path: "/redirect" },
  { path: "/none" },
  { path: "/up", answer: { cut: "before" } },
  { path: "/up", answer: { cut: "within", body: ["a"] } },
  { path: "/up", more: { ...grpc, method: "POST", body: ["x"] } },
  { path: "/nowhere", more: grpc },
  { path: "/up", more: { headers: [["x-abort", "1"]] } },
  { path: "/up", more: { headers: [["x-delay", "1"]] } },
  { path: "/up", more: { headers: [["x-deny", "1"]] } },
  { path: "/up", more: { headers: [["x-limit", "1"]] } },
  { path: "/up", more: { headers: [["x-forwarded-for", "1.2.3.4"]] } },
];

const all = { numerator: 100, denominator: "HUNDRED" };
const having = (name: string) => [{ name, present_match: true }];
const everyWay: JsonValue = [
  {
    name: "abort",
    typed_config: {
      "@type": `${filters}.fault.v3.HTTPFault`,
      headers: having("x-abort"),
      abort: { http_status: 418, percentage: all },
    },
  },
  {
    name: "delay",
    typed_config: {
      "@type": `${filters}.fault.v3.HTTPFault`,
      headers: having("x-delay"),
      delay: { fixed_delay: "0.002s", percentage: all },
    },
  },
  {
    name: "deny",
    typed_config: {
      "@type": `${filters}.rbac.v3.RBAC`,
      rules: {
        action: "DENY",
        policies: {
          "the policy": { permissions: [{ header: having("x-deny")[0]! }], principals: [{ any: true }] },
        },
      },
    },
  },
  { name: "limit", disabled: true, typed_config: limit(0) },
  { name: "router", typed_config: { "@type": `${filters}.router.v3.Router` } },
];

function limit(share: number): JsonObject {
  const default_value = { ...all, numerator: share };
  return {
    "@type": `${filters}.local_ratelimit.v3.LocalRateLimit`,
    stat_prefix: "limit",
    token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: "3600s" },
    filter_enabled: { default_value },
    filter_enforced: { default_value },
  };
}

const limited = {
  name: "limited",
  match: { prefix: "/up", headers: having("x-limit") },
  route: { cluster: "up" },
  typed_per_filter_config: { limit: limit(100) },
};

const flags = ["UF", "UH", "NR", "RL"];
const status = (op: string, default_value: number) => ({
  status_code_filter: { comparison: { op, value: { default_value, runtime_key: "x" } } },
});
const duration = (op: string) => ({
  duration_filter: { comparison: { op, value: { default_value: 600_000, runtime_key: "x" } } },
});
/** Each logs what it says of the streams that it lets pass. */
const logFilters: Readonly<Record<string, JsonObject>> = {
  failed: status("GE", 500),
  found: status("LE", 204),
  denied: status("EQ", 403),
  quick: duration("LE"),
  endless: duration("GE"),
  header: { header_filter: { header: { name: "x-abort", present_match: true } } },
  flags: { response_flag_filter: { flags } },
  any_flag: { response_flag_filter: {} },
  checks: { not_health_check_filter: {} },
  never: { runtime_filter: { runtime_key: "x", percent_sampled: { ...all, numerator: 0 } } },
  always: { runtime_filter: { runtime_key: "x", percent_sampled: all } },
  both: { and_filter: { filters: [status("GE", 400), status("LE", 404)] } },
  either: { or_filter: { filters: [status("EQ", 404), { response_flag_filter: { flags: ["FI"] } }] } },
  grpc: { grpc_status_filter: { statuses: ["UNAVAILABLE"] } },
  not_grpc: { grpc_status_filter: { statuses: ["UNAVAILABLE"], exclude: true } },
};

function log(name: string, log_format: JsonObject, filter?: JsonObject): JsonObject {
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
    path: `{logs}-${name}.log`,
    log_format,
  };
  return { name, typed_config, ...(filter ? { filter } : {}) };
}

const fields: JsonObject = Object.fromEntries(operators.map((text) => [text, `%${text}%`]));
const nested = {
  number: 7,
  inner: { none: "%REQ(x-none)%", path: "%REQ(:path):4%" },
  empty: { none: "%REQ(x-none)%" },
  list: ["%PROTOCOL%", "%REQ(x-none)%", 1, { a: "%RESPONSE_CODE%" }],
  mixed: "%REQ(x-none)%-%RESPONSE_CODE%",
};
const line = `${operators.map((text) => `${text.replaceAll("%", "%%")} %${text}%`).join("\n")}\nend\n`;
const logs: readonly JsonObject[] = [
  log("json", { json_format: { ...fields, ...nested } }),
  log("omitted", { json_format: { ...fields, ...nested }, omit_empty_values: true }),
  log("text", { text_format_source: { inline_string: line } }),
  log("blank", { text_format_source: { inline_string: line }, omit_empty_values: true }),
  log("default", {}),
  ...Object.entries(logFilters).map(([name, filter]) =>
    log(
      name,
      { text_format_source: { inline_string: "%RESPONSE_CODE% %REQ(:path)% %RESPONSE_FLAGS%\n" } },
      filter,
    ),
  ),
].map((each) => withoutEmptyFormat(each));

/** No format at all is Envoy's own. */
function withoutEmptyFormat(each: JsonObject): JsonObject {
  const { log_format, ...config } = each.typed_config as JsonObject;
  const isEmpty = Object.keys(log_format as JsonObject).length === 0;
  return isEmpty ? { ...each, typed_config: config } : each;
}

let twins: Twins;

before(async () => {
  const none = { max_requests: 0, max_pending_requests: 0, max_connections: 0 };
  twins = await startTwins({
    connections: [
      {
        http_filters: everyWay,
        access_log: [...logs],
        route_config: {
          name: "table",
          validate_clusters: false,
          virtual_hosts: [
            { name: "any", domains: ["*"], routes: [limited, ...routes] as unknown as JsonValue[] },
          ],
        },
      },
    ],
    clusters: [
      { ...clusterJson("empty", 1), load_assignment: { cluster_name: "empty" } },
      clusterJson("refusing", await freePort()),
      { ...clusterJson("full", 1), circuit_breakers: { thresholds: [none] } },
    ],
  });
});

after(() => twins?.close());

async function linesOf(side: Side, name: string): Promise<string[]> {
  const text = await readFile(join(twins.directory, `${side}-${name}.log`), "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}

test("access logs say in the gateway what they say in Envoy", async () => {
  for (const { path, answer = {}, more = {} } of requests) {
    twins.setAnswer(answer);
    await twins.exchange(0, { method: "GET", host: "a.com", path, headers: [], ...more });
  }
  // The limit has one token.
  await twins.exchange(0, { method: "GET", host: "a.com", path: "/up", headers: [["x-limit", "1"]] });
  for (const side of ["envoy", "gateway"] as const)
    await until(`${side} has written its logs`, async () => {
      const lines = await linesOf(side, "always");
      return lines.length === requests.length + 1;
    });
  for (const { name } of logs) {
    const [envoy, gateway] = [await linesOf("envoy", String(name)), await linesOf("gateway", String(name))];
    assert.deepEqual(gateway.map(comparedLine), envoy.map(comparedLine), String(name));
    assert.equal(envoy.length > 0, name !== "never" && name !== "endless", String(name));
  }
});
