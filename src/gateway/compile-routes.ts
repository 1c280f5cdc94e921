import {
  type Route as RouteMessage,
  VirtualHost_TlsRequirementType as TlsRequirement,
  type VirtualHost as VirtualHostMessage,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.ts";
import { compileHeaderRules } from "./header-rules.ts";
import { compilePerFilter } from "./per-filter.ts";
import { refuse, within, withinEach } from "./refused-config.ts";
import { compileRetryPolicy } from "./retry-policy.ts";
import { compileAction } from "./route-action.ts";
import { compileRouteMatch } from "./route-match.ts";
import type { Route, RouteTable, VirtualHost } from "./route-table.ts";
import { compileVirtualHosts } from "./virtual-hosts.ts";

/** What a direct response may be long, in bytes, where the table says nothing. */
const defaultMaxDirectBody = 4096;

/** What a table says of the routes in all of its virtual hosts. */
export interface HostSettings {
  /** What a direct response may be long, in bytes. */
  readonly maxDirectBody: number;
  readonly ignorePathParameters: boolean;
}

export function settingsOf(table: RouteConfiguration): HostSettings {
  return {
    maxDirectBody: table.maxDirectResponseBodySizeBytes ?? defaultMaxDirectBody,
    ignorePathParameters: table.ignorePathParametersInPathMatching,
  };
}

/** Compiles a route configuration. Throws RefusedConfig. */
export function compileRoutes(table: RouteConfiguration): RouteTable {
  const settings = settingsOf(table);
  return compileTable(table, () =>
    withinEach("virtual_hosts", table.virtualHosts, (host) => compileVirtualHost(host, settings)),
  );
}

/** Compiles a route configuration whose virtual hosts come from elsewhere. Throws RefusedConfig. */
export function compileTable(
  table: RouteConfiguration,
  compileHosts: () => readonly VirtualHost[],
): RouteTable {
  if (table.vhds) refuse("vhds", "is not supported");
  if (table.clusterSpecifierPlugins.length > 0) refuse("cluster_specifier_plugins", "is not supported");
  if (table.requestMirrorPolicies.length > 0) refuse("request_mirror_policies", "is not supported");
  const virtualHosts = compileHosts();
  refuseSameNames(virtualHosts);
  return {
    name: table.name,
    virtualHosts,
    findVirtualHost: compileVirtualHosts(virtualHosts, table.ignorePortInHostMatching),
    headers: compileHeaderRules(table),
    mostSpecificWins: table.mostSpecificHeaderMutationsWins,
    perFilter: compilePerFilter(table.typedPerFilterConfig),
  };
}

function refuseSameNames(hosts: readonly VirtualHost[]): void {
  const names = new Set<string>();
  for (const { name } of hosts) {
    if (names.has(name))
      refuse("virtual_hosts", `only unique names for virtual hosts are permitted; ${name} is there twice`);
    names.add(name);
  }
}

const tlsRequirements: Readonly<Record<TlsRequirement, VirtualHost["requireTls"]>> = {
  [TlsRequirement.NONE]: "none",
  [TlsRequirement.EXTERNAL_ONLY]: "external-only",
  [TlsRequirement.ALL]: "all",
};

/** Compiles a virtual host. Throws RefusedConfig. */
export function compileVirtualHost(host: VirtualHostMessage, settings: HostSettings): VirtualHost {
  if (host.name === "") refuse("name", "value length must be at least 1 characters");
  if (host.domains.length === 0) refuse("domains", "value must contain at least 1 item(s)");
  if (host.matcher) refuse("matcher", "is not supported");
  if (host.requestMirrorPolicies.length > 0) refuse("request_mirror_policies", "is not supported");
  return {
    name: host.name,
    domains: host.domains,
    routes: withinEach("routes", host.routes, (route) => compileRoute(route, settings)),
    requireTls: tlsRequirements[host.requireTls],
    headers: compileHeaderRules(host),
    retryPolicy: within("retry_policy", () => compileRetryPolicy(host.retryPolicy)),
    includeAttemptCount: host.includeRequestAttemptCount,
    includeAttemptCountInResponse: host.includeAttemptCountInResponse,
    perFilter: compilePerFilter(host.typedPerFilterConfig),
  };
}

function compileRoute(route: RouteMessage, { maxDirectBody, ignorePathParameters }: HostSettings): Route {
  const { match: message } = route;
  if (!message) return refuse("match", "is required");
  const match = within("match", () => compileRouteMatch(message));
  return {
    name: route.name,
    matches: ignorePathParameters
      ? (request, path) => match.matches(request, withoutParameters(path))
      : (request, path) => match.matches(request, path),
    action: compileAction(route.action, match.path, maxDirectBody),
    headers: compileHeaderRules(route),
    perFilter: compilePerFilter(route.typedPerFilterConfig),
  };
}

/** A path without what follows a `;` in each of its segments. */
function withoutParameters(path: string): string {
  return path.includes(";") ? path.replaceAll(/;[^/]*/g, "") : path;
}
