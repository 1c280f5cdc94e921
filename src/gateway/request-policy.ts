import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { ForwardAction, RetryPolicy, SelectedRoute } from "./route-table.ts";

/** What the router says for all requests. */
export interface RouterOptions {
  /** `suppress_envoy_headers`: nothing is added that begins with `x-envoy-`. */
  readonly suppressEnvoyHeaders: boolean;
  /** A timeout that an Envoy before us announced holds here too. */
  readonly respectExpectedTimeout: boolean;
}

/** How a request is sent on: by its route, and by Envoy's own headers in it. Times in milliseconds; 0 for no limit. */
export interface RequestPolicy {
  readonly timeoutMs: number;
  /** What the upstream is told it has; undefined for nothing. */
  readonly expectedMs: number | undefined;
  readonly retryPolicy: RetryPolicy | undefined;
  readonly timeoutStatus: 504 | 204;
}

const prefix = "x-envoy-";
/** Said to this gateway, and not passed on. */
const consumed: ReadonlySet<string> = new Set(
  `hedge-on-per-try-timeout max-retries retriable-header-names retriable-status-codes retry-grpc-on retry-on
  upstream-alt-stat-name upstream-rq-per-try-timeout-ms upstream-rq-timeout-alt-response upstream-rq-timeout-ms
  upstream-stream-duration-ms`
    .split(/\s+/)
    .map((name) => prefix + name),
);

type Said = ReadonlyMap<string, string>;
const nothing: Said = new Map();

/** Takes what a request says of its own policy out of its headers, and puts it together with the route's. */
export function takeRequestPolicy(
  headers: HeaderMap,
  { virtualHost }: SelectedRoute,
  action: ForwardAction,
  router: RouterOptions,
): RequestPolicy {
  const said = takeSaid(headers);
  const ofRoute = action.retryPolicy ?? virtualHost.retryPolicy;
  const retryPolicy = said.size === 0 ? ofRoute : retryPolicyOf(ofRoute, said);
  const timeoutMs = timeoutOf(headers, said, action, router);
  const perTryMs = retryPolicy?.perTryTimeoutMs ?? 0;
  const isOfTry = perTryMs > 0 && (timeoutMs === 0 || perTryMs < timeoutMs);
  const expected = isOfTry ? perTryMs : timeoutMs;
  return {
    timeoutMs,
    expectedMs: expected > 0 && !router.suppressEnvoyHeaders ? expected : undefined,
    retryPolicy: isOfTry || perTryMs === 0 ? retryPolicy : { ...retryPolicy!, perTryTimeoutMs: 0 },
    timeoutStatus: said.has("x-envoy-upstream-rq-timeout-alt-response") ? 204 : 504,
  };
}

function takeSaid(headers: HeaderMap): Said {
  let said: Map<string, string> | undefined;
  for (const [name, value] of headers.lines) {
    if (!name.startsWith(prefix) || !consumed.has(name)) continue;
    said ??= new Map();
    if (!said.has(name)) said.set(name, value);
  }
  for (const name of said?.keys() ?? []) headers.remove(name);
  return said ?? nothing;
}

function timeoutOf(headers: HeaderMap, said: Said, action: ForwardAction, router: RouterOptions): number {
  const expected = router.respectExpectedTimeout
    ? wholeNumber(headers.get("x-envoy-expected-rq-timeout-ms"))
    : undefined;
  if (expected !== undefined) return expected;
  const byHeader = wholeNumber(said.get("x-envoy-upstream-rq-timeout-ms"));
  // With a limit for the whole stream the route's timeout does not count.
  return byHeader ?? (action.maxStreamDurationMs === undefined ? action.timeoutMs : 0);
}

const noRetries: RetryPolicy = {
  on: new Set(),
  statusCodes: new Set(),
  matchesHeaders: () => false,
  matchesRequest: () => true,
  retries: 1,
  perTryTimeoutMs: 0,
  perTryIdleTimeoutMs: 0,
  baseIntervalMs: 25,
  maxIntervalMs: 250,
  hostSelectionAttempts: 1,
  avoidPreviousHosts: false,
};

function retryPolicyOf(ofRoute: RetryPolicy | undefined, said: Said): RetryPolicy {
  const base = ofRoute ?? noRetries;
  const conditions = list(said, "x-envoy-retry-on").concat(list(said, "x-envoy-retry-grpc-on"));
  const on = conditions.length === 0 ? base.on : new Set([...base.on, ...conditions]);
  const names = list(said, "x-envoy-retriable-header-names").map((name) => name.toLowerCase());
  return {
    ...base,
    on,
    statusCodes: new Set([
      ...base.statusCodes,
      ...list(said, "x-envoy-retriable-status-codes").flatMap((code) => wholeNumber(code) ?? []),
    ]),
    matchesHeaders: (response) =>
      base.matchesHeaders(response) || names.some((name) => response.get(name) !== undefined),
    retries: (on.size > 0 ? wholeNumber(said.get("x-envoy-max-retries")) : undefined) ?? base.retries,
    perTryTimeoutMs: wholeNumber(said.get("x-envoy-upstream-rq-per-try-timeout-ms")) ?? base.perTryTimeoutMs,
  };
}

function list(said: Said, name: string): string[] {
  const value = said.get(name);
  return value === undefined ? [] : value.split(",").map((each) => each.trim());
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : undefined;
}
