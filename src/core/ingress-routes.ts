import { create } from "@bufbuild/protobuf";
import {
  type HTTPMatchRequest,
  HTTPMatchRequestSchema,
  type HTTPRoute,
  HTTPRouteSchema,
} from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { FieldPath } from "../resource/diagnostic.ts";
import type { IngressPath } from "../resource/types.ts";
import { fullName, joinName, routeName } from "./config-names.ts";
import { resolveBackend } from "./ingress-backends.ts";
import {
  type AcceptedIngress,
  type HostRule,
  type IngressScope,
  type Remarks,
  report,
} from "./ingress-scope.ts";

/** A route of one host, with what decides its place among the others. */
export interface Route {
  readonly pathType: "exact" | "prefix" | "default";
  readonly path: string;
  readonly from: AcceptedIngress;
  readonly http: HTTPRoute;
}

/** By host, in the order in which the gateway has to try them. */
export type RoutesByHost = ReadonlyMap<string, readonly Route[]>;

type PathMatch = Pick<Route, "path"> & { readonly pathType: "exact" | "prefix" };

/** By host, then by path type and path, so that each is taken once. */
type RouteTable = Map<string, Map<string, Route>>;

/** A route that an Ingress would have for a host, and where it says so. */
export interface OfferedRoute {
  readonly host: string;
  readonly route: Route;
  readonly at: FieldPath;
}

/** The routes that an Ingress asks for by its rules. */
export function readRoutes(from: AcceptedIngress, scope: IngressScope): readonly OfferedRoute[] {
  return from.rules.flatMap((rule) => readRule(from, rule, scope));
}

/** What Ingresses ask for, in their order. */
export interface Offers {
  readonly from: AcceptedIngress;
  readonly routes: readonly OfferedRoute[];
  readonly defaultRoute: Route | undefined;
}

/** The routes of all Ingresses. Of two for the same host, path type and path, the first Ingress has it. */
export function buildRoutes(offers: readonly Offers[], remarks: Remarks): RoutesByHost {
  const table: RouteTable = new Map();
  for (const { routes } of offers) {
    for (const { host, route, at } of routes) {
      const first = findRoute(table, host, keyOf(route));
      const what = () => `${route.pathType} path ${route.path} of host ${host}`;
      if (first) reportDuplicate(route.from, first, what(), at, remarks);
      else putRoute(table, host, route);
    }
  }
  for (const { defaultRoute } of offers) if (defaultRoute) addDefaultRoute(defaultRoute, table, remarks);
  return new Map([...table].map(([host, routes]) => [host, sortRoutes([...routes.values()])]));
}

/**
 * Exact paths, then prefixes, the longer first, then the prefix `/`, then default backends; otherwise as they came.
 * These are the ranks of Higress, less the regular expressions that only annotations make.
 */
export function sortRoutes(routes: readonly Route[]): readonly Route[] {
  return routes.toSorted((a, b) => rankOf(a) - rankOf(b) || b.path.length - a.path.length);
}

function rankOf({ pathType, path }: Route): number {
  if (pathType === "default") return 3;
  if (pathType === "exact") return 0;
  return path === "/" ? 2 : 1;
}

function findRoute(table: RouteTable, host: string, key: string): Route | undefined {
  return table.get(host)?.get(key);
}

function putRoute(table: RouteTable, host: string, route: Route): void {
  const routes = table.get(host) ?? new Map<string, Route>();
  table.set(host, routes.set(keyOf(route), route));
}

function keyOf({ pathType, path }: Pick<Route, "pathType" | "path">): string {
  return `${pathType} ${path}`;
}

function readRule(from: AcceptedIngress, rule: HostRule, scope: IngressScope): OfferedRoute[] {
  const paths = from.ingress.spec.rules?.[rule.index]?.http?.paths ?? [];
  if (paths.length === 0 && !from.ingress.spec.defaultBackend) {
    report(scope, from.ingress, {
      severity: "warning",
      code: "MISSING_FIELD",
      path: ["spec", "rules", rule.index],
      message: `rule for host ${rule.host} has no paths, and there is no defaultBackend that would take its requests`,
      hint: "write http.paths with a path and a backend",
    });
  }
  return paths.flatMap((path, index) => {
    const at = ["spec", "rules", rule.index, "http", "paths", index];
    const route = readRoute(from, path, at, scope);
    return route ? [{ host: rule.host, route, at }] : [];
  });
}

/**
 * Unlike Higress: a path whose backend is unusable does not keep the path from a later Ingress, which would leave it
 * without any route.
 */
function readRoute(
  from: AcceptedIngress,
  path: IngressPath,
  at: FieldPath,
  scope: IngressScope,
): Route | undefined {
  const match = readPath(from, path, at, scope);
  const destination = resolveBackend(from.ingress, path.backend ?? {}, [...at, "backend"], scope);
  if (match === undefined || destination === undefined) return undefined;
  const http = create(HTTPRouteSchema, {
    name: routeName(from.ingress, scope.options),
    match: buildMatches(match),
    route: [destination],
  });
  return { ...match, from, http };
}

function readPath(
  from: AcceptedIngress,
  { path = "", pathType }: IngressPath,
  at: FieldPath,
  scope: IngressScope,
): PathMatch | undefined {
  if (path !== "" && !path.startsWith("/")) {
    report(scope, from.ingress, {
      severity: "error",
      code: "INVALID_VALUE",
      path: [...at, "path"],
      message: `path is ${JSON.stringify(path)}, expected one that begins with /; this route is left out`,
    });
    return undefined;
  }
  switch (pathType) {
    case "Exact":
      return { pathType: "exact", path: path || "/" };
    case undefined:
      return { pathType: "prefix", path: trimSlash(path.replace(/\.\*$/, "").replace(/\/\*$/, "")) };
    case "Prefix":
    case "ImplementationSpecific":
      return { pathType: "prefix", path: trimSlash(path) };
  }
  report(scope, from.ingress, {
    severity: "error",
    code: "INVALID_VALUE",
    path: [...at, "pathType"],
    message: `pathType is ${JSON.stringify(pathType)}, expected Exact, Prefix or ImplementationSpecific; this route is left out`,
  });
  return undefined;
}

/** `/foo/` and `/foo` are the same prefix; only `/` itself keeps its slash. */
function trimSlash(path: string): string {
  return path.replace(/\/$/, "") || "/";
}

/** A prefix ends where a path segment ends: `/foo` is for `/foo` and `/foo/bar`, not for `/foobar`. */
function buildMatches({ pathType, path }: PathMatch): HTTPMatchRequest[] {
  if (pathType === "prefix" && path === "/") return [matchUri("prefix", "/")];
  if (pathType === "prefix") return [matchUri("exact", path), matchUri("prefix", `${path}/`)];
  return [matchUri("exact", path)];
}

function matchUri(kind: "exact" | "prefix", value: string): HTTPMatchRequest {
  return create(HTTPMatchRequestSchema, { uri: { matchType: { case: kind, value } } });
}

/** The route of an Ingress' default backend. */
export function readDefaultRoute(from: AcceptedIngress, scope: IngressScope): Route | undefined {
  const backend = from.ingress.spec.defaultBackend;
  const destination = backend && resolveBackend(from.ingress, backend, defaultBackendPath, scope);
  if (destination === undefined) return undefined;
  const name = joinName(routeName(from.ingress, scope.options), "default");
  const http = create(HTTPRouteSchema, { name, route: [destination] });
  return { pathType: "default", path: "/", from, http };
}

const defaultBackendPath = ["spec", "defaultBackend"];

/**
 * A default backend takes what the hosts of its own Ingress leave, and the requests for hosts that no Ingress names.
 * Unlike Higress: of two default backends the first has the unnamed hosts, as with any other route, and not the last.
 */
function addDefaultRoute(route: Route, table: RouteTable, remarks: Remarks): void {
  for (const host of new Set(["*", ...route.from.hosts])) {
    const first = findRoute(table, host, "prefix /") ?? findRoute(table, host, "default /");
    if (!first) putRoute(table, host, route);
    else if (host === "*")
      reportDuplicate(route.from, first, "what no other rule takes", defaultBackendPath, remarks);
  }
}

function reportDuplicate(
  from: AcceptedIngress,
  first: Route,
  what: string,
  path: FieldPath,
  remarks: Remarks,
): void {
  report(remarks, from.ingress, {
    severity: "warning",
    code: "DUPLICATE_ROUTE",
    path,
    message: `${what} is already routed by Ingress ${fullName(first.from.ingress)}; this one has no effect`,
    hint: "keep one of the two",
  });
}
