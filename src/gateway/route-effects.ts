import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { HeaderLine, LocalResponse } from "../proxy-wasm/index.ts";
import type { Endpoint } from "./cluster-config.ts";
import type { FormatValues } from "./format.ts";
import { applyHeaderEdits, headerRules } from "./header-rules.ts";
import { type GatewayReply, gatewayReply } from "./local-replies.ts";
import type { RequestPolicy, RouterOptions } from "./request-policy.ts";
import { directLocation, redirectLocation, rewrittenHost, rewrittenPath } from "./rewrites.ts";
import { isGrpc } from "./route-match.ts";
import type { ForwardAction, HeaderRules, RedirectAction, SelectedRoute } from "./route-table.ts";

/** How far a request has come when it goes to an endpoint. */
export interface AttemptState {
  readonly attempt: number;
  /** Since the end of the request. */
  readonly elapsedMs: number;
}

/** The rules of a route, put together once. */
const rulesOf = new WeakMap<
  SelectedRoute["virtualHost"] | NonNullable<SelectedRoute["route"]>,
  readonly HeaderRules[]
>();

function cachedRules(selected: SelectedRoute): readonly HeaderRules[] {
  if (selected.weighted) return headerRules(selected);
  const key = selected.route ?? selected.virtualHost;
  const known = rulesOf.get(key);
  if (known) return known;
  const rules = headerRules(selected).filter(
    ({ request, response }) =>
      request.add.length + request.remove.length + response.add.length + response.remove.length > 0,
  );
  rulesOf.set(key, rules);
  return rules;
}

/** What changes a request on its way. */
export interface RequestEdits {
  readonly selected: SelectedRoute;
  readonly action: ForwardAction;
  readonly policy: RequestPolicy;
  readonly router: RouterOptions;
}

/** Changes a request as its route says: headers first, then host and path. */
export function editRequest(edits: RequestEdits, headers: HeaderMap, values: FormatValues): void {
  const { selected, action, policy, router } = edits;
  const { virtualHost } = selected;
  if (action.maxStreamDurationMs !== undefined && isGrpc(headers))
    headers.set("grpc-timeout", `${action.maxStreamDurationMs}m`);
  if (policy.expectedMs !== undefined)
    headers.set("x-envoy-expected-rq-timeout-ms", String(policy.expectedMs));
  if (virtualHost.includeAttemptCount) headers.set("x-envoy-attempt-count", "1");
  const { weighted } = selected;
  for (const rules of cachedRules(selected)) {
    applyHeaderEdits(headers, rules.request, values);
    // As Envoy: what the route adds of the host is of the new one.
    if (rules === weighted?.headers && weighted.hostRewrite) headers.set(":authority", weighted.hostRewrite);
  }
  const host = rewrittenHost(selected, headers);
  if (typeof host === "string") replaceHost(headers, host, action.appendXForwardedHost, router);
  rewritePath(action, headers, router);
}

function rewritePath(
  action: ForwardAction | RedirectAction,
  headers: HeaderMap,
  { suppressEnvoyHeaders }: RouterOptions,
): void {
  const path = headers.get(":path") ?? "";
  const newPath = rewrittenPath(action, path);
  if (newPath === undefined) return;
  if (!suppressEnvoyHeaders) headers.set("x-envoy-original-path", path);
  headers.set(":path", newPath);
}

/** Changes a request for the endpoint that it goes to. */
export function editForEndpoint(
  { selected, action, policy, router }: RequestEdits,
  headers: HeaderMap,
  { hostname }: Endpoint,
  { attempt, elapsedMs }: AttemptState,
): void {
  const { virtualHost, weighted } = selected;
  if (attempt > 1 && policy.expectedMs !== undefined)
    headers.set("x-envoy-expected-rq-timeout-ms", String(remainingMs(policy, elapsedMs)));
  if (attempt > 1 && virtualHost.includeAttemptCount) headers.set("x-envoy-attempt-count", String(attempt));
  const isAuto = action.hostRewrite?.kind === "auto" && !weighted?.hostRewrite;
  if (isAuto && hostname !== "" && headers.get(":authority") !== hostname)
    replaceHost(headers, hostname, action.appendXForwardedHost, router);
}

/** What the upstream has left of the time for all attempts. */
function remainingMs({ expectedMs = 0, timeoutMs }: RequestPolicy, elapsedMs: number): number {
  return timeoutMs === 0 ? expectedMs : Math.max(1, Math.min(expectedMs, timeoutMs - Math.floor(elapsedMs)));
}

function replaceHost(headers: HeaderMap, host: string, append: boolean, router: RouterOptions): void {
  const before = headers.get(":authority");
  if (before !== undefined && before !== host) {
    if (!router.suppressEnvoyHeaders) headers.set("x-envoy-original-host", before);
    if (append) headers.add("x-forwarded-host", before);
  }
  headers.set(":authority", host);
}

export function editResponse(selected: SelectedRoute, headers: HeaderMap, values: FormatValues): void {
  for (const rules of cachedRules(selected)) applyHeaderEdits(headers, rules.response, values);
}

/** The values that a response is changed by; `details` where it is a reply of the gateway's own. */
export type ValuesFor = (coming: { readonly headers: HeaderMap; readonly details: string }) => FormatValues;

/** The response of a route that forwards to no cluster. */
export function routeAnswer(
  selected: SelectedRoute,
  request: HeaderMap,
  router: RouterOptions,
  valuesFor: ValuesFor,
): GatewayReply {
  const { action } = selected;
  if (action.kind === "forward") throw new Error("a route that forwards has no answer of its own");
  if (action.kind === "direct") {
    const hasLocation = action.status === 201 || (action.status >= 300 && action.status < 400);
    const lines: HeaderLine[] = hasLocation ? [["location", directLocation(request)]] : [];
    const reply = gatewayReply(action.status, action.body, "direct_response", "", lines);
    return answered(selected, reply, valuesFor);
  }
  const lines: HeaderLine[] = [["location", redirectLocation(action, request)]];
  if (action.kind === "https")
    return { ...gatewayReply(301, "", "direct_response", "", lines), isFinal: true };
  // As Envoy: what is said of the request afterwards is said of the new path.
  rewritePath(action, request, router);
  return answered(selected, gatewayReply(action.status, "", "direct_response", "", lines), valuesFor);
}

function answered(selected: SelectedRoute, reply: GatewayReply, valuesFor: ValuesFor): GatewayReply {
  const headers = new HeaderMap([[":status", String(reply.status)], ...reply.headers]);
  editResponse(selected, headers, valuesFor({ headers, details: reply.details }));
  return { ...reply, headers: withoutStatus(headers), isFinal: true };
}

/** The headers of a reply of the gateway's own: what the route adds stands before what the reply brings. */
export function replyHeaders(
  selected: SelectedRoute,
  { status, headers: own, details }: LocalResponse,
  valuesFor: ValuesFor,
): readonly HeaderLine[] {
  const headers = new HeaderMap([[":status", String(status)]]);
  editResponse(selected, headers, valuesFor({ headers, details }));
  return [...withoutStatus(headers), ...own];
}

function withoutStatus(headers: HeaderMap): HeaderLine[] {
  return headers.lines.filter(([name]) => name !== ":status");
}
