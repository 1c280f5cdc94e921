import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { HeaderLine } from "../proxy-wasm/index.ts";
import type { Endpoint } from "./cluster-config.ts";
import type { FormatValues } from "./format.ts";
import { applyHeaderEdits, headerRules } from "./header-rules.ts";
import { type GatewayReply, gatewayReply } from "./local-replies.ts";
import { directLocation, redirectLocation, rewrittenHost, rewrittenPath } from "./rewrites.ts";
import type { HeaderRules, SelectedRoute } from "./route-table.ts";

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

/** Changes a request as its route says: headers first, then path and host. */
export function editRequest(selected: SelectedRoute, headers: HeaderMap, values: FormatValues): void {
  const { action, virtualHost } = selected;
  if (action.kind !== "forward") return;
  for (const rules of cachedRules(selected)) applyHeaderEdits(headers, rules.request, values);
  const path = headers.get(":path") ?? "";
  const newPath = rewrittenPath(action, path);
  if (newPath !== undefined) {
    headers.replace("x-envoy-original-path", path);
    setPseudo(headers, ":path", newPath);
  }
  const host = rewrittenHost(selected, headers);
  if (typeof host === "string") replaceHost(headers, host, action.appendXForwardedHost);
  if (virtualHost.includeAttemptCount) headers.replace("x-envoy-attempt-count", "1");
}

/** Changes a request for the endpoint that it goes to. */
export function editForEndpoint(
  selected: SelectedRoute,
  headers: HeaderMap,
  { hostname }: Endpoint,
  { attempt }: AttemptState,
): void {
  const { action, virtualHost, weighted } = selected;
  if (action.kind !== "forward") return;
  if (attempt > 1 && virtualHost.includeAttemptCount)
    headers.replace("x-envoy-attempt-count", String(attempt));
  const isAuto = action.hostRewrite?.kind === "auto" && !weighted?.hostRewrite;
  if (isAuto && hostname !== "" && headers.get(":authority") !== hostname)
    replaceHost(headers, hostname, action.appendXForwardedHost);
}

function replaceHost(headers: HeaderMap, host: string, append: boolean): void {
  const before = headers.get(":authority");
  if (append && before !== undefined && before !== host) headers.add("x-forwarded-host", before);
  setPseudo(headers, ":authority", host);
}

/** In its place: the order of lines is what guests and upstreams see. */
function setPseudo(headers: HeaderMap, name: string, value: string): void {
  const lines: HeaderLine[] = headers.lines.map((line) => (line[0] === name ? [name, value] : line));
  headers.setLines(lines);
}

export function editResponse(selected: SelectedRoute, headers: HeaderMap, values: FormatValues): void {
  for (const rules of cachedRules(selected)) applyHeaderEdits(headers, rules.response, values);
}

/** The response of a route that forwards to no cluster. */
export function routeAnswer(selected: SelectedRoute, request: HeaderMap, values: FormatValues): GatewayReply {
  const { action } = selected;
  if (action.kind === "forward") throw new Error("a route that forwards has no answer of its own");
  if (action.kind === "direct") {
    const hasLocation = action.status === 201 || (action.status >= 300 && action.status < 400);
    const lines: HeaderLine[] = hasLocation ? [["location", directLocation(request)]] : [];
    const headers = editedLines(selected, lines, values);
    return gatewayReply(action.status, action.body, "direct_response", "", headers);
  }
  const status = action.kind === "https" ? 301 : action.status;
  const lines: HeaderLine[] = [["location", redirectLocation(action, request)]];
  return gatewayReply(status, "", "direct_response", "", editedLines(selected, lines, values));
}

function editedLines(
  selected: SelectedRoute,
  lines: readonly HeaderLine[],
  values: FormatValues,
): HeaderLine[] {
  const map = new HeaderMap([...lines]);
  editResponse(selected, map, values);
  return [...map.lines];
}
