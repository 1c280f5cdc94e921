import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Route,
  type RouteAction,
  RouteActionSchema,
  type RouteMatch,
  RouteMatchSchema,
  RouteSchema,
  VirtualHost_TlsRequirementType as TlsRequirement,
  type VirtualHost,
  VirtualHostSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type {
  HTTPMatchRequest,
  HTTPRoute,
  HTTPRouteDestination,
  StringMatch,
} from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { clusterName } from "./clusters.ts";
import { headerMatcher, queryMatcher } from "./matchers.ts";
import { redirectAction, rewriteOf } from "./redirects.ts";

type VirtualServiceConfig = IstioConfig<"VirtualService">;

/** The virtual host of a name at a port, by the VirtualServices with its routes. */
export function virtualHost(
  host: string,
  port: number,
  [httpsRedirect, ...services]: readonly [httpsRedirect: boolean, ...services: VirtualServiceConfig[]],
): VirtualHost {
  return create(VirtualHostSchema, {
    name: `${host}:${port}`,
    domains: [host],
    routes: services.flatMap(({ spec }) => spec.http.flatMap(toRoutes)),
    requireTls: httpsRedirect ? TlsRequirement.ALL : TlsRequirement.NONE,
    includeRequestAttemptCount: true,
  });
}

function toRoutes(route: HTTPRoute): Route[] {
  if (route.match.length === 0) return [toRoute(route, undefined)];
  return route.match.map((match) => toRoute(route, match));
}

function toRoute(route: HTTPRoute, match: HTTPMatchRequest | undefined): Route {
  // Istio's route name, the one that plugins' `_match_route_` sees.
  const name = match?.name ? `${route.name}.${match.name}` : route.name;
  return create(RouteSchema, {
    name,
    match: toMatch(match),
    action: toAction(route),
    requestHeadersToAdd: headersToAdd(route.headers?.request),
    requestHeadersToRemove: route.headers?.request?.remove ?? [],
    responseHeadersToAdd: headersToAdd(route.headers?.response),
    responseHeadersToRemove: route.headers?.response?.remove ?? [],
  });
}

function toMatch(match: HTTPMatchRequest | undefined): RouteMatch {
  const headers = Object.entries(match?.headers ?? {}).map(([name, value]) => headerMatcher(name, value));
  const without = Object.entries(match?.withoutHeaders ?? {}).map(([name, value]) =>
    headerMatcher(name, value, true),
  );
  if (match?.method) headers.push(headerMatcher(":method", match.method));
  if (match?.authority) headers.push(headerMatcher(":authority", match.authority));
  return create(RouteMatchSchema, {
    pathSpecifier: toPath(match?.uri),
    caseSensitive: !match?.ignoreUriCase,
    headers: [...headers, ...without],
    queryParameters: Object.entries(match?.queryParams ?? {}).map(([name, value]) =>
      queryMatcher(name, value),
    ),
  });
}

function toPath(uri: StringMatch | undefined): MessageInitShape<typeof RouteMatchSchema>["pathSpecifier"] {
  const { case: kind, value = "/" } = uri?.matchType ?? {};
  if (kind === "exact") return { case: "path", value };
  if (kind === "regex") return { case: "safeRegex", value: { regex: value } };
  return { case: "prefix", value };
}

function toAction(route: HTTPRoute): MessageInitShape<typeof RouteSchema>["action"] {
  if (route.redirect) return { case: "redirect", value: redirectAction(route.redirect) };
  if (route.directResponse) {
    const { status, body } = route.directResponse;
    const specifier =
      body?.specifier.case === "bytes"
        ? ({ case: "inlineBytes", value: body.specifier.value } as const)
        : ({ case: "inlineString", value: body?.specifier.value ?? "" } as const);
    return { case: "directResponse", value: { status, body: body && { specifier } } };
  }
  return { case: "route", value: toRouteAction(route) };
}

function toRouteAction(route: HTTPRoute): RouteAction {
  const [only] = route.route;
  const single = route.route.length === 1 && only;
  return create(RouteActionSchema, {
    clusterSpecifier: single
      ? { case: "cluster", value: destinationCluster(only) }
      : {
          case: "weightedClusters",
          value: {
            clusters: route.route.map((destination) => ({
              name: destinationCluster(destination),
              weight: destination.weight,
            })),
          },
        },
    // No time limit unless the route sets one, as in Istio.
    timeout: route.timeout ?? { seconds: 0n },
    ...rewriteOf(route),
    retryPolicy: retryPolicy(route),
  });
}

/** What Istio retries when a route says nothing: only requests that no upstream can have seen. */
function retryPolicy({ retries }: HTTPRoute): MessageInitShape<typeof RouteActionSchema>["retryPolicy"] {
  const attempts = retries?.attempts ?? 2;
  if (attempts === 0) return undefined;
  return {
    retryOn:
      retries?.retryOn || "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    numRetries: attempts,
    perTryTimeout: retries?.perTryTimeout,
    hostSelectionRetryMaxAttempts: 5n,
  };
}

function destinationCluster({ destination }: HTTPRouteDestination): string {
  return clusterName(destination?.port?.number ?? 80, destination?.host ?? "", destination?.subset ?? "");
}

function headersToAdd(operations: { set: Record<string, string>; add: Record<string, string> } | undefined) {
  const set = Object.entries(operations?.set ?? {}).map(([key, value]) => ({
    header: { key, value },
    appendAction: 2,
  }));
  const add = Object.entries(operations?.add ?? {}).map(([key, value]) => ({
    header: { key, value },
    appendAction: 0,
  }));
  return [...set, ...add];
}
