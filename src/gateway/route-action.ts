import { RoutingPriority } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RedirectAction as RedirectMessage,
  type RouteAction as RouteActionMessage,
  type Route as RouteMessage,
  type WeightedCluster as WeightedMessage,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { RegexMatchAndSubstitute } from "../gen/envoy/type/matcher/v3/regex_pb.ts";
import { dataBytes } from "./data-source.ts";
import { durationMs } from "./duration.ts";
import { compileHeaderRules } from "./header-rules.ts";
import { type PathMatch, withoutQuery } from "./path-match.ts";
import { compilePerFilter } from "./per-filter.ts";
import { refuse, within, withinEach } from "./refused-config.ts";
import { compileRegex, toHeader } from "./regex.ts";
import { compileRetryPolicy } from "./retry-policy.ts";
import type {
  DirectResponseAction,
  ForwardAction,
  HostRewrite,
  RedirectAction,
  RegexRewrite,
  RouteAction,
} from "./route-table.ts";

/** Compiles what is done with requests of a route. */
export function compileAction(action: RouteMessage["action"], path: PathMatch, maxBody: number): RouteAction {
  switch (action.case) {
    case "route":
      return within("route", () => compileForward(action.value, path));
    case "redirect":
      return within("redirect", () => compileRedirect(action.value, path));
    case "directResponse":
      return within("direct_response", () => {
        const { status, body } = action.value;
        if (status < 200 || status > 599) refuse("status", `${status} is not inside of [200, 600)`);
        return compileDirect(
          status,
          body ? within("body", () => dataBytes(body)) : new Uint8Array(),
          maxBody,
        );
      });
    default:
      return refuse("action", action.case === undefined ? "is required" : `${action.case} is not supported`);
  }
}

function compileDirect(status: number, body: Uint8Array, maxBody: number): DirectResponseAction {
  if (body.length > maxBody) refuse("body", `size is ${body.length} bytes; maximum is ${maxBody}`);
  return { kind: "direct", status, body };
}

const redirectStatus: Readonly<Record<RedirectCode, RedirectAction["status"]>> = {
  [RedirectCode.MOVED_PERMANENTLY]: 301,
  [RedirectCode.FOUND]: 302,
  [RedirectCode.SEE_OTHER]: 303,
  [RedirectCode.TEMPORARY_REDIRECT]: 307,
  [RedirectCode.PERMANENT_REDIRECT]: 308,
};

function compileRedirect(redirect: RedirectMessage, path: PathMatch): RedirectAction {
  const { schemeRewriteSpecifier: scheme, pathRewriteSpecifier: rewrite } = redirect;
  const https = scheme.case === "httpsRedirect" && scheme.value;
  return {
    kind: "redirect",
    status: redirectStatus[redirect.responseCode],
    scheme: https ? "https" : scheme.case === "schemeRedirect" ? toHeader(scheme.value) : "",
    host: toHeader(redirect.hostRedirect),
    port: redirect.portRedirect,
    path: rewrite.case === "pathRedirect" ? toHeader(rewrite.value) : "",
    prefixRewrite: rewrite.case === "prefixRewrite" ? prefixOf(rewrite.value) : undefined,
    regexRewrite:
      rewrite.case === "regexRewrite" ? compileRewrite("regex_rewrite", rewrite.value) : undefined,
    stripQuery: redirect.stripQuery,
    matchedLength: path.matchedLength,
  };
}

/** An empty prefix rewrite is none. */
function prefixOf(text: string): string | undefined {
  return text === "" ? undefined : toHeader(text);
}

function compileRewrite(field: string, { pattern, substitution }: RegexMatchAndSubstitute): RegexRewrite {
  return within(field, () => {
    const regex = within("pattern", () => compileRegex(pattern?.regex ?? ""));
    return { replace: regex.replacer(substitution) };
  });
}

const notFoundStatus: Readonly<Record<NotFoundCode, ForwardAction["clusterNotFoundStatus"]>> = {
  [NotFoundCode.SERVICE_UNAVAILABLE]: 503,
  [NotFoundCode.NOT_FOUND]: 404,
  [NotFoundCode.INTERNAL_SERVER_ERROR]: 500,
};

/** Envoy's default, in milliseconds. */
const defaultTimeoutMs = 15_000;

function compileForward(action: RouteActionMessage, path: PathMatch): ForwardAction {
  refuseUnsupported(action);
  return {
    kind: "forward",
    target: compileTarget(action),
    clusterNotFoundStatus: notFoundStatus[action.clusterNotFoundResponseCode],
    prefixRewrite: prefixOf(action.prefixRewrite),
    regexRewrite: action.regexRewrite && compileRewrite("regex_rewrite", action.regexRewrite),
    matchedLength: path.matchedLength,
    hostRewrite: compileHostRewrite(action),
    appendXForwardedHost: action.appendXForwardedHost,
    // As Envoy: a route that bounds streams has no timeout beside.
    timeoutMs: action.maxStreamDuration ? 0 : durationMs(action.timeout, defaultTimeoutMs),
    idleTimeoutMs: durationMs(action.idleTimeout, undefined),
    maxStreamDurationMs: durationMs(action.maxStreamDuration?.maxStreamDuration, undefined),
    grpcTimeoutMaxMs: durationMs(action.maxStreamDuration?.grpcTimeoutHeaderMax, undefined),
    grpcTimeoutOffsetMs: durationMs(action.maxStreamDuration?.grpcTimeoutHeaderOffset, 0),
    retryPolicy: within("retry_policy", () => compileRetryPolicy(action.retryPolicy)),
    priority: action.priority === RoutingPriority.HIGH ? "high" : "default",
    upgrades: new Map(
      action.upgradeConfigs.map(({ upgradeType, enabled }) => [upgradeType.toLowerCase(), enabled ?? true]),
    ),
  };
}

function refuseUnsupported(action: RouteActionMessage): void {
  if (action.pathRewritePolicy) refuse("path_rewrite_policy", "is not supported");
  if (action.requestMirrorPolicies.length > 0) refuse("request_mirror_policies", "is not supported");
  if (action.internalRedirectPolicy) refuse("internal_redirect_policy", "is not supported");
  if (action.hedgePolicy) refuse("hedge_policy", "is not supported");
  if (action.prefixRewrite !== "" && action.regexRewrite)
    refuse("regex_rewrite", "only one of prefix_rewrite or regex_rewrite can be specified");
}

function compileTarget({ clusterSpecifier: by }: RouteActionMessage): ForwardAction["target"] {
  switch (by.case) {
    case "cluster":
      if (by.value === "") refuse("cluster", "value length must be at least 1 characters");
      return { kind: "cluster", name: by.value };
    case "clusterHeader":
      if (by.value === "") refuse("cluster_header", "value length must be at least 1 characters");
      return { kind: "header", header: by.value.toLowerCase() };
    case "weightedClusters":
      return within("weighted_clusters", () => compileWeighted(by.value));
    default:
      return refuse(
        "cluster_specifier",
        by.case === undefined ? "is required" : `${by.case} is not supported`,
      );
  }
}

const maxTotalWeight = 4_294_967_295;

function compileWeighted({ clusters, randomValueSpecifier }: WeightedMessage): ForwardAction["target"] {
  const compiled = withinEach("clusters", clusters, (cluster) => {
    if ((cluster.name === "") === (cluster.clusterHeader === ""))
      refuse("name", "either name or cluster_header must be there, and not both");
    return {
      name: cluster.name || undefined,
      header: cluster.clusterHeader.toLowerCase() || undefined,
      weight: cluster.weight ?? 0,
      hostRewrite: cluster.hostRewriteSpecifier.value,
      headers: compileHeaderRules(cluster),
      perFilter: compilePerFilter(cluster.typedPerFilterConfig),
    };
  });
  const total = compiled.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) refuse("", "sum of weights in the weighted_cluster must be greater than 0");
  if (total > maxTotalWeight)
    refuse("", `the sum of weights of all weighted clusters exceeds ${maxTotalWeight}`);
  const randomHeader =
    randomValueSpecifier.case === "headerName" && randomValueSpecifier.value !== ""
      ? randomValueSpecifier.value.toLowerCase()
      : undefined;
  return { kind: "weighted", total, clusters: compiled, randomHeader };
}

function compileHostRewrite({ hostRewriteSpecifier: by }: RouteActionMessage): HostRewrite | undefined {
  switch (by.case) {
    case "hostRewriteLiteral":
      return by.value === "" ? undefined : { kind: "literal", value: toHeader(by.value) };
    case "autoHostRewrite":
      return by.value ? { kind: "auto" } : undefined;
    case "hostRewriteHeader":
      return { kind: "header", header: by.value.toLowerCase() };
    case "hostRewritePathRegex": {
      const rewrite = compileRewrite("host_rewrite_path_regex", by.value);
      return { kind: "path", replace: (path) => rewrite.replace(withoutQuery(path)) };
    }
    default:
      return undefined;
  }
}
