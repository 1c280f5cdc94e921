import assert from "node:assert/strict";
import { test } from "node:test";
import { type ListenerParts, startEmbeddedGateway, startEnvoyGateway } from "../peers/both-gateways.ts";
import { connectRaw } from "../peers/raw-connection.ts";
import { type NotingUpstream, readAnswers, startNotingUpstream } from "./raw-outcome.ts";

const forwarded = "X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n";
const claims = `${forwarded}X-Forwarded-Proto: https\r\nX-Request-Id: own\r\nX-Envoy-Retry-On: 5xx\r\nX-Envoy-Internal: true\r\nX-Envoy-External-Address: 9.9.9.9\r\nX-Forwarded-Client-Cert: Hash=00\r\nX-Forwarded-Host: h\r\nVia: 1.1 other\r\n`;
const get = (path: string, headers = "", host = "a.com") =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`;
const ours =
  "decorator-operation downstream-service-cluster downstream-service-node expected-rq-timeout-ms force-trace hedge-on-per-try-timeout ip-tags is-timeout-retry max-retries original-path original-host original-url retriable-header-names retriable-status-codes retry-grpc-on retry-on upstream-alt-stat-name upstream-rq-per-try-timeout-ms upstream-rq-timeout-alt-response attempt-count peer-metadata"
    .split(" ")
    .map((name) => `X-Envoy-${name}: 1\r\n`)
    .join("");
const plain = [
  get("/", ours),
  get("/", `X-Forwarded-For: 10.1.1.1\r\n${ours}`),
  get("/"),
  get("/", claims),
  get("/", "X-Forwarded-For: nobody\r\n"),
  get("/", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: ftp\r\n"),
];
const paths = [
  "/a/../b /a/./b /a//b /a%2Fb /a%2fb%5Cc /a/%2e%2e/b /a/..%2fb /%41%7e /a%00b /a\\b /a/b?x=/../%2F //a //a/..//b /.. /a/. /a/..;/b /%zz /a%2 /a%2F%2Fb /a;b=%2F /a/.;/b /a/..;x=1/b /a/b;/.. /a;/../b /a/.;x /a/...;/b /a/%2e%2e;/b /a/..%3B/b",
]
  .flatMap((text) => text.split(" "))
  .map((path) => get(path));
const hosts = [
  "a.com",
  "a.com:80",
  "a.com:12345",
  "[::1]",
  "[::1]:80",
  "a.com:",
  "a.com:x",
  ":80",
  "1.2.3.4:8080",
].map((host) => get("/", "", host));
const names = [get("/", "x_a: 1\r\nx-b: 2\r\n"), get("/", "_: 1\r\n"), get("/")];

/** What of requests the connection manager changes, or refuses: for each configuration, what is sent to it. */
const cases: Readonly<Record<string, ListenerParts & { readonly requests: readonly string[] }>> = {
  edge: { requests: plain },
  "not at the edge": { http: { use_remote_address: false }, requests: plain },
  "one trusted hop": { http: { xff_num_trusted_hops: 1 }, requests: plain },
  "two trusted hops": { http: { xff_num_trusted_hops: 2 }, requests: plain },
  "three trusted hops": { http: { xff_num_trusted_hops: 3 }, requests: plain },
  "a trusted hop, not at the edge": {
    http: { use_remote_address: false, xff_num_trusted_hops: 1 },
    requests: plain,
  },
  "x-forwarded-for stays": { http: { skip_xff_append: true }, requests: plain },
  "internal clients": {
    http: { internal_address_config: { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] } },
    requests: plain.slice(2),
  },
  "internal clients behind others": {
    http: {
      use_remote_address: false,
      internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }] },
    },
    requests: [
      ...plain.slice(2),
      get(
        "/",
        "X-Forwarded-For: 10.1.1.1\r\nX-Envoy-Original-Path: /a\r\nX-Envoy-Ip-Tags: a\r\nX-Request-Id: own\r\n",
      ),
    ],
  },
  "no request ids": { http: { generate_request_id: false }, requests: plain },
  "request ids stay": { http: { preserve_external_request_id: true }, requests: plain },
  "request ids in responses": { http: { always_set_request_id_in_response: true }, requests: plain },
  "a server's name": { http: { server_name: "me" }, requests: [get("/"), get("/server")] },
  "a server where there is none": {
    http: { server_header_transformation: "APPEND_IF_ABSENT" },
    requests: [get("/"), get("/server")],
  },
  "the upstream's server": {
    http: { server_header_transformation: "PASS_THROUGH" },
    requests: [get("/"), get("/server")],
  },
  "paths as they are": { requests: paths },
  "normal paths": { http: { normalize_path: true }, requests: paths },
  "merged slashes": { http: { merge_slashes: true }, requests: paths },
  "normal paths with merged slashes": {
    http: { normalize_path: true, merge_slashes: true },
    requests: paths,
  },
  "escaped slashes stay": {
    http: { normalize_path: true, path_with_escaped_slashes_action: "KEEP_UNCHANGED" },
    requests: paths,
  },
  "escaped slashes are refused": {
    http: { path_with_escaped_slashes_action: "REJECT_REQUEST" },
    requests: paths,
  },
  "escaped slashes are unescaped": {
    http: {
      normalize_path: true,
      merge_slashes: true,
      path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD",
    },
    requests: paths,
  },
  "escaped slashes are redirected": {
    http: { normalize_path: true, path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT" },
    requests: paths,
  },
  "any port is stripped": { http: { strip_any_host_port: true }, requests: hosts },
  "the listener's port is stripped": { http: { strip_matching_host_port: true }, requests: hosts },
  "underscores are refused": {
    http: { common_http_protocol_options: { headers_with_underscores_action: "REJECT_REQUEST" } },
    requests: names,
  },
  "underscores are dropped": {
    http: { common_http_protocol_options: { headers_with_underscores_action: "DROP_HEADER" } },
    requests: names,
  },
  "HTTP/1.0 is answered": {
    http: { http_protocol_options: { accept_http_10: true } },
    requests: [
      "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
    ],
  },
  "HTTP/1.0 with a host of its own": {
    http: { http_protocol_options: { accept_http_10: true, default_host_for_http_10: "b" } },
    requests: ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: a\r\n\r\n"],
  },
};

/** What an upstream got of a request, and the answer: head without date and ids. */
async function ask(port: number, request: string, upstream: NotingUpstream) {
  upstream.take();
  const client = await connectRaw(port);
  client.write(request);
  await client.reads((text) => readAnswers(text).length > 0);
  const [head = ""] = client.received().split("\r\n\r\n");
  client.close();
  const sent = upstream
    .take()
    .map((line) => line.replace(/x-request-id: [0-9a-f-]{36}/, "x-request-id: made"));
  const varying = /^(date|x-envoy-upstream-service-time):/;
  // Node answers HTTP/1.0 with its own version, as RFC 9110 section 6.2 has it.
  const lines = head
    .replace(/^HTTP\/1.0/, "HTTP/1.1")
    .split("\r\n")
    .filter((line) => !varying.test(line));
  return {
    sent,
    answer: lines.map((line) => line.replace(/^x-request-id: [0-9a-f-]{36}/, "x-request-id: made")),
  };
}

test("requests are changed, or refused, as Envoy changes and refuses them", async (t) => {
  const upstreams = [await startNotingUpstream(/^$/), await startNotingUpstream(/^$/)] as const;
  t.after(() => upstreams.map((each) => each.close()));
  const envoy = await startEnvoyGateway(cases, upstreams[0].port);
  t.after(() => envoy.stop());
  const embedded = await startEmbeddedGateway(cases, upstreams[1].port);
  t.after(() => embedded.stop());
  for (const [name, { requests }] of Object.entries(cases))
    for (const request of requests) {
      const [theirs, ours] = await Promise.all([
        ask(envoy.port(name), request, upstreams[0]),
        ask(embedded.port(name), request, upstreams[1]),
      ]);
      assert.deepEqual(ours, theirs, `${name}: ${request}`);
    }
});
