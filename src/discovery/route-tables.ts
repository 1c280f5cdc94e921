import { create, toBinary } from "@bufbuild/protobuf";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { getOrCreate } from "../get-or-create.ts";
import { mapIncrementally, sameItems } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { createSortedValues } from "../sorted-values.ts";
import { changesBetween } from "../splices.ts";
import { joinedResource } from "../xds/joined-resource.ts";
import { contentHash, type SnapshotResource } from "../xds/snapshot.ts";
import { hostOf } from "./listeners.ts";
import { virtualHost } from "./routes.ts";
import { type GatewayServer, type PortServers, routeName } from "./servers.ts";
import { createServicesByGateway, type ServicesByGateway } from "./services-by-gateway.ts";

type VirtualServiceConfig = IstioConfig<"VirtualService">;

/** The route tables of one port: one for plain HTTP, one for each HTTPS server. */
export function buildRoutes(
  port: PortServers,
  virtualServices: readonly VirtualServiceConfig[],
): SnapshotResource[] {
  return createRouteBuilder()([port], createServicesByGateway()(virtualServices));
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

interface TableServers {
  readonly name: string;
  readonly servers: readonly GatewayServer[];
}

function serversByTable(port: PortServers): readonly TableServers[] {
  if (!port.tls) return [{ name: routeName(port, port.servers[0]!), servers: port.servers }];
  const tables = new Map<string, GatewayServer[]>();
  for (const server of port.servers) getOrCreate(tables, routeName(port, server), () => []).push(server);
  return [...tables].map(([name, servers]) => ({ name, servers }));
}

/** What a virtual host is made of: whether it is for HTTPS alone, and the VirtualServices with its routes, in order. */
type HostParts = readonly [httpsRedirect: boolean, ...services: VirtualServiceConfig[]];

interface EncodedHost {
  readonly name: string;
  readonly parts: HostParts;
  /** The virtual host as the field of its table. */
  readonly bytes: Uint8Array;
  /** A hash of the bytes. */
  readonly version: string;
}

type Table = (servers: readonly GatewayServer[], services: ServicesByGateway) => SnapshotResource;

/** A table of thousands of virtual hosts, of which one changed, costs the encoding of that one, and the copy of its bytes. */
function createTableBuilder(name: string, port: number): Table {
  const follow = createServedHosts();
  const sort = createSortedValues<EncodedHost>();
  const hosts = new Map<string, EncodedHost>();
  let table = tableResource(name, []);
  return (servers, services) => {
    const changed = new Map<string, EncodedHost>();
    const removed: string[] = [];
    for (const [host, parts] of follow(servers, services)) {
      const known = hosts.get(host);
      if (parts) {
        if (known && sameItems(known.parts, parts)) continue;
        const encoded = encodeHost(host, port, parts);
        hosts.set(host, encoded);
        if (known?.version !== encoded.version) changed.set(encoded.name, encoded);
      } else if (known) {
        hosts.delete(host);
        removed.push(known.name);
      }
    }
    if (changed.size + removed.length > 0) table = tableResource(name, sort.update(changed, removed));
    return table;
  };
}

function encodeHost(host: string, port: number, parts: HostParts): EncodedHost {
  const made = virtualHost(host, port, parts);
  const bytes = toBinary(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, { virtualHosts: [made] }),
  );
  return { name: made.name, parts, bytes, version: contentHash(bytes) };
}

/** The version is a hash of the virtual hosts' own: half a megabyte is not read again for one of them. */
function tableResource(name: string, hosts: readonly EncodedHost[]): SnapshotResource {
  const head = toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, { name }));
  const version = contentHash(tableTypeUrl, head, tableTail, hosts.map((host) => host.version).join());
  return joinedResource({ name, version, typeUrl: tableTypeUrl }, [
    head,
    ...hosts.map(({ bytes }) => bytes),
    tableTail,
  ]);
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

/** What a server of a Gateway serves by the VirtualServices that are bound to that. */
interface ServedHosts {
  readonly server: GatewayServer;
  readonly gateway: string;
  bound: readonly VirtualServiceConfig[] | undefined;
  hosts: readonly (readonly [host: string, parts: HostParts])[];
}

/**
 * What has become of the hosts that something happened to since the last call; undefined of one that nobody serves any
 * more. The routes of several VirtualServices for a host follow each other.
 */
function createServedHosts() {
  const serve = mapIncrementally((server: GatewayServer): ServedHosts => {
    const { namespace, name } = server.gateway;
    return { server, gateway: `${namespace}/${name}`, bound: undefined, hosts: [] };
  });
  let last: readonly ServedHosts[] = [];
  return (
    servers: readonly GatewayServer[],
    services: ServicesByGateway,
  ): ReadonlyMap<string, HostParts | undefined> => {
    const served = serve(servers);
    const touched = new Map<string, HostParts | undefined>();
    const touch = ({ hosts }: ServedHosts) => {
      for (const [host] of hosts) touched.set(host, undefined);
    };
    changesBetween(last, served).gone.forEach(touch);
    for (const one of served) {
      const bound = services.get(one.gateway);
      if (bound === one.bound) continue;
      touch(one);
      one.bound = bound;
      one.hosts = hostsOf(one.server, bound ?? []);
      touch(one);
    }
    last = served;
    return touched.size > 0 ? withParts(touched, served) : touched;
  };
}

function withParts(
  touched: Map<string, HostParts | undefined>,
  served: readonly ServedHosts[],
): ReadonlyMap<string, HostParts | undefined> {
  for (const { hosts } of served)
    for (const [host, parts] of hosts) {
      if (!touched.has(host)) continue;
      const first = touched.get(host);
      touched.set(host, first ? withRoutesOf(first, parts) : parts);
    }
  return touched;
}

/** The first server decides whether a host is for HTTPS alone. */
function withRoutesOf(first: HostParts, [, ...services]: HostParts): HostParts {
  return [...first, ...services];
}

/** The hosts of a server that have routes. */
function hostsOf({ server }: GatewayServer, bound: readonly VirtualServiceConfig[]): ServedHosts["hosts"] {
  const names = new Set(server.hosts.map(hostOf));
  return [...names].flatMap((host) => {
    const routed = bound.filter(({ spec }) => spec.hosts.includes(host) && spec.http.length > 0);
    return routed.length > 0 ? [[host, [server.tls?.httpsRedirect ?? false, ...routed]] as const] : [];
  });
}
