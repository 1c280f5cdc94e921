import { fc } from "../../peers/properties.ts";
import { headerEdits } from "./header-edits.ts";
import { pick } from "./values.ts";

const regexRewrite = (rewrites: readonly (readonly [string, string])[]) =>
  pick(rewrites).map(([regex, substitution]) => ({ pattern: { regex }, substitution }));
/** Upstreams refuse paths that do not begin with a slash. */
const pathRewrites = [
  ["^/a(.*)$", "/r\\1"],
  ["[ab]", "<\\0>"],
  ["/", "/\\\\"],
  ["(b)?$", "!\\1"],
] as const;

/** A RedirectAction. */
export const redirect = fc
  .tuple(
    pick([
      {},
      { https_redirect: true },
      { https_redirect: false },
      { scheme_redirect: "ftp" },
      { scheme_redirect: "https" },
    ]),
    pick([{}, { host_redirect: "other.org" }, { host_redirect: "[::2]" }]),
    pick([{}, { port_redirect: 8443 }, { port_redirect: 80 }]),
    fc.oneof(
      fc.constant({}),
      pick(["/new", "/new?own=1", "new", "/new#f"]).map((path_redirect) => ({ path_redirect })),
      pick(["/p", "/", "p"]).map((prefix_rewrite) => ({ prefix_rewrite })),
      regexRewrite([...pathRewrites, ["(x)?", "-"]]).map((regex_rewrite) => ({ regex_rewrite })),
    ),
    pick(["MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"]),
    fc.boolean(),
  )
  .map(([scheme, host, port, path, response_code, strip_query]) => ({
    redirect: { ...scheme, ...host, ...port, ...path, response_code, strip_query },
  }));

const weighted = fc
  .tuple(
    headerEdits,
    pick([{}, { host_rewrite_literal: "weighted.org" }]),
    pick([
      { name: "up", weight: 1 },
      { name: "other", weight: 1 },
      { cluster_header: "x-b", weight: 3 },
    ]),
  )
  .map(([edits, host, cluster]) => ({
    weighted_clusters: {
      clusters: [
        { name: "nowhere", weight: 0 },
        { ...cluster, ...edits, ...host },
      ],
    },
  }));

/** The header decides, and each request has it: nothing is left to chance. */
const byHeader = fc.constant({
  weighted_clusters: {
    header_name: "x-w",
    clusters: [
      { name: "up", weight: 7 },
      { name: "other", weight: 5 },
      { name: "up", weight: 0 },
    ],
  },
});

const target = fc.oneof(
  { weight: 4, arbitrary: pick([{ cluster: "up" }, { cluster: "other" }]) },
  pick([{ cluster: "nowhere" }, { cluster: "empty" }, { cluster: "refusing" }]),
  fc.constant({ cluster_header: "x-a" }),
  weighted,
  byHeader,
);

const retryPolicy = pick([
  { retry_on: "5xx" },
  { retry_on: "gateway-error,retriable-4xx", num_retries: 2 },
  { retry_on: "retriable-status-codes", retriable_status_codes: [404], num_retries: 0 },
  { retry_on: "connect-failure,reset", num_retries: 1 },
]).map((policy) => ({
  retry_policy: { ...policy, retry_back_off: { base_interval: "0.001s" } },
}));

/** What changes nothing here, or only what upstreams are told. */
const extras = pick([
  {},
  {},
  { append_x_forwarded_host: true },
  { timeout: "3s" },
  { timeout: "0s" },
  { idle_timeout: "9s", priority: "HIGH" },
  { cluster_not_found_response_code: "NOT_FOUND" },
  { cluster_not_found_response_code: "INTERNAL_SERVER_ERROR" },
  { hash_policy: [{ header: { header_name: "x-a" } }] },
  { max_stream_duration: { max_stream_duration: "5s" } },
]);

/** A RouteAction. */
export const forward = fc
  .tuple(
    target,
    fc.oneof(
      fc.constant({}),
      pick(["/p", "/p/", "/"]).map((prefix_rewrite) => ({ prefix_rewrite })),
      regexRewrite(pathRewrites).map((regex_rewrite) => ({ regex_rewrite })),
    ),
    fc.oneof(
      fc.constant({}),
      pick([
        { host_rewrite_literal: "literal.org" },
        { auto_host_rewrite: true },
        { auto_host_rewrite: false },
        { host_rewrite_header: "x-a" },
        { host_rewrite_path_regex: { pattern: { regex: "^/(.).*$" }, substitution: "\\1.org" } },
      ]),
    ),
    extras,
    fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, retryPolicy),
  )
  .map(([to, path, host, extra, retry]) => ({ route: { ...to, ...path, ...host, ...extra, ...retry } }));

/** A DirectResponseAction; one of 200 gets a body that says where it stands. */
export const direct = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ direct_response: { status: 200 } }) },
  pick([
    { direct_response: { status: 302 } },
    { direct_response: { status: 201, body: { inline_string: "made" } } },
    { direct_response: { status: 204 } },
    { direct_response: { status: 304 } },
    { direct_response: { status: 404, body: { inline_bytes: "AP8K" } } },
    { direct_response: { status: 503, body: { inline_string: "ü" } } },
    { direct_response: { status: 499 } },
  ]),
);
