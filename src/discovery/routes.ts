import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
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
import { getOrCreate } from "../get-or-create.ts";
import { buildIncrementally, sameItems, sortIncrementally } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { rawResource, type SnapshotResource } from "../xds/snapshot.ts";
import { clusterName } from "./clusters.ts";
import { hostOf } from "./listeners.ts";
import { headerMatcher, queryMatcher } from "./matchers.ts";
import { redirectAction, rewriteOf } from "./redirects.ts";
import { type GatewayServer, type PortServers, routeName } from "./servers.ts";

type VirtualServiceConfig = IstioConfig<"VirtualService">;

/** VirtualServices by the Gateways, as `namespace/name`, that they are bound to. */
export type ServicesByGateway = ReadonlyMap<string, readonly VirtualServiceConfig[]>;

export function servicesByGateway(services: readonly VirtualServiceConfig[]): ServicesByGateway {
  const bound = new Map<string, VirtualServiceConfig[]>();
  for (const service of services) {
    for (const name of getOrCreate(gatewaysOf, service, () => gatewayNames(service))) {
      const list = bound.get(name);
      if (list) list.push(service);
      else bound.set(name, [service]);
    }
  }
  return bound;
}

// Names that are put together anew for thousands of hosts cost more than everything that is looked up by them.
const gatewaysOf = new WeakMap<VirtualServiceConfig, readonly string[]>();
const fullNames = new WeakMap<IstioConfig<"Gateway">, string>();

/** A VirtualService names its gateways as `namespace/name`, or `name` in its own namespace. */
function gatewayNames({ namespace, spec }: VirtualServiceConfig): readonly string[] {
  return [...new Set(spec.gateways.map((name) => (name.includes("/") ? name : `${namespace}/${name}`)))];
}

function fullNameOf(gateway: IstioConfig<"Gateway">): string {
  return getOrCreate(fullNames, gateway, () => `${gateway.namespace}/${gateway.name}`);
}

/** The route tables of one port: one for plain HTTP, one for each HTTPS server. */
export function buildRoutes(
  port: PortServers,
  virtualServices: readonly VirtualServiceConfig[],
): SnapshotResource[] {
  return createRouteBuilder()([port], servicesByGateway(virtualServices));
}

/** The route tables of ports, for a stream of configurations: a virtual host that nothing happened to is not built again. */
export function createRouteBuilder(): (
  ports: readonly PortServers[],
  services: ServicesByGateway,
) => SnapshotResource[] {
  const builders = new Map<string, ReturnType<typeof createTableBuilder>>();
  return (ports, services) => {
    const tables = ports.flatMap((port) =>
      serversByTable(port).map((table) => ({ ...table, port: port.port })),
    );
    const used = new Set(tables.map(({ name }) => name));
    for (const name of builders.keys()) if (!used.has(name)) builders.delete(name);
    return tables.map(({ name, servers, port }) =>
      getOrCreate(builders, name, () => createTableBuilder(name, port))(servers, services),
    );
  };
}

function serversByTable(port: PortServers) {
  const tables = new Map<string, GatewayServer[]>();
  for (const server of port.servers) {
    const name = routeName(port, server);
    const servers = tables.get(name);
    if (servers) servers.push(server);
    else tables.set(name, [server]);
  }
  return [...tables].map(([name, servers]) => ({ name, servers }));
}

/** A table of thousands of virtual hosts, of which one changed, costs the encoding of that one. */
function createTableBuilder(name: string, port: number) {
  const encodeHosts = buildIncrementally((host: string, parts: HostParts) => encodeHost(host, port, parts));
  const inOrder = sortIncrementally<EncodedHost>((a, b) => (a.name < b.name ? -1 : 1));
  const head = toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, { name }));
  return (servers: readonly GatewayServer[], services: ServicesByGateway): SnapshotResource => {
    const hosts = inOrder(encodeHosts(collectHosts(servers, services)));
    const bytes = hosts.map((host) => host.bytes);
    return rawResource(name, tableTypeUrl, Buffer.concat([head, ...bytes, tableTail]));
  };
}

const tableTypeUrl = `type.googleapis.com/${RouteConfigurationSchema.typeName}`;

/** What follows a table's virtual hosts, in the order of the fields. */
const tableTail = toBinary(
  RouteConfigurationSchema,
  create(RouteConfigurationSchema, {
    validateClusters: false,
    // A request's port says nothing about the virtual host: `foo.com:8080` is foo.com.
    ignorePortInHostMatching: true,
  }),
);

/** What a virtual host is made of: whether it is for HTTPS alone, and the VirtualServices with its routes, in order. */
type HostParts = readonly [httpsRedirect: boolean, ...services: VirtualServiceConfig[]];

/** One virtual host for each name; the routes of several VirtualServices for a name follow each other. */
function collectHosts(
  servers: readonly GatewayServer[],
  services: ServicesByGateway,
): ReadonlyMap<string, HostParts> {
  const hosts = new Map<string, HostParts>();
  for (const server of servers) {
    const bound = services.get(fullNameOf(server.gateway));
    if (!bound) continue;
    for (const [host, parts] of hostsOfServer(server, bound)) {
      const known = hosts.get(host);
      hosts.set(host, known ? withRoutesOf(known, parts) : parts);
    }
  }
  return hosts;
}

/** The first server decides whether a host is for HTTPS alone. */
function withRoutesOf(first: HostParts, [, ...services]: HostParts): HostParts {
  return [...first, ...services];
}

interface ServedHosts {
  readonly bound: readonly VirtualServiceConfig[];
  readonly hosts: ReadonlyMap<string, HostParts>;
}

const servedHosts = new WeakMap<GatewayServer, ServedHosts>();

/** The hosts of a server that have routes: the same objects while the VirtualServices of its Gateway are. */
function hostsOfServer(
  gatewayServer: GatewayServer,
  bound: readonly VirtualServiceConfig[],
): ReadonlyMap<string, HostParts> {
  const known = servedHosts.get(gatewayServer);
  if (known && sameItems(known.bound, bound)) return known.hosts;
  const { server } = gatewayServer;
  const hosts = new Map<string, HostParts>();
  for (const written of server.hosts) {
    const host = hostOf(written);
    const routed = bound.filter(({ spec }) => spec.hosts.includes(host) && spec.http.length > 0);
    if (routed.length > 0) hosts.set(host, [server.tls?.httpsRedirect ?? false, ...routed]);
  }
  servedHosts.set(gatewayServer, { bound, hosts });
  return hosts;
}

interface EncodedHost {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A virtual host as the field of its table. */
function encodeHost(host: string, port: number, [httpsRedirect, ...services]: HostParts): EncodedHost {
  const routes = services.flatMap(({ spec }) => spec.http.flatMap(toRoutes));
  const virtualHosts = [virtualHost(host, port, routes, httpsRedirect)];
  const table = create(RouteConfigurationSchema, { virtualHosts });
  return { name: `${host}:${port}`, bytes: toBinary(RouteConfigurationSchema, table) };
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
