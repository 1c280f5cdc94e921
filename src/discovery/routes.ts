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
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import type {
  HTTPMatchRequest,
  HTTPRoute,
  HTTPRouteDestination,
  StringMatch,
} from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { encodeResource, type SnapshotResource } from "../xds/snapshot.ts";
import { clusterName } from "./clusters.ts";
import { hostOf } from "./listeners.ts";
import { headerMatcher, queryMatcher } from "./matchers.ts";
import { redirectAction, rewriteOf } from "./redirects.ts";
import { type PortServers, routeName } from "./servers.ts";

type VirtualServiceConfig = IstioConfig<"VirtualService">;

/** The route tables of one port: one for plain HTTP, one for each HTTPS server. */
export function buildRoutes(
  port: PortServers,
  virtualServices: readonly VirtualServiceConfig[],
): SnapshotResource[] {
  const tables = new Map<string, PortServers["servers"][number][]>();
  for (const server of port.servers) {
    const name = routeName(port, server);
    tables.set(name, [...(tables.get(name) ?? []), server]);
  }
  return [...tables].map(([name, servers]) => {
    const virtualHosts = collectVirtualHosts(servers, virtualServices, port.port);
    const table = create(RouteConfigurationSchema, {
      name,
      virtualHosts,
      validateClusters: false,
      // A request's port says nothing about the virtual host: `foo.com:8080` is foo.com.
      ignorePortInHostMatching: true,
    });
    return encodeResource(name, RouteConfigurationSchema, table);
  });
}

/** One virtual host for each name, in order; the routes of several VirtualServices for a name follow each other. */
function collectVirtualHosts(
  servers: PortServers["servers"],
  virtualServices: readonly VirtualServiceConfig[],
  port: number,
): VirtualHost[] {
  const hosts = new Map<string, VirtualHost>();
  for (const { gateway, server } of servers) {
    const bound = virtualServices.filter((service) => isBound(service, gateway));
    for (const host of server.hosts.map(hostOf)) {
      const routes = bound
        .filter(({ spec }) => spec.hosts.includes(host))
        .flatMap(({ spec }) => spec.http.flatMap(toRoutes));
      if (routes.length === 0) continue;
      const known = hosts.get(host);
      if (known) known.routes.push(...routes);
      else hosts.set(host, virtualHost(host, port, routes, server.tls?.httpsRedirect ?? false));
    }
  }
  return [...hosts.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function virtualHost(host: string, port: number, routes: Route[], httpsRedirect: boolean): VirtualHost {
  return create(VirtualHostSchema, {
    name: `${host}:${port}`,
    domains: [host],
    routes,
    requireTls: httpsRedirect ? TlsRequirement.ALL : TlsRequirement.NONE,
    includeRequestAttemptCount: true,
  });
}

/** A VirtualService names its gateways as `namespace/name`, or `name` in its own namespace. */
function isBound({ namespace, spec }: VirtualServiceConfig, gateway: IstioConfig<"Gateway">): boolean {
  return spec.gateways.some((name) => {
    const full = name.includes("/") ? name : `${namespace}/${name}`;
    return full === `${gateway.namespace}/${gateway.name}`;
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
