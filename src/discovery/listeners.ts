import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  ApiVersion,
  type ConfigSource,
  ConfigSourceSchema,
} from "../gen/envoy/config/core/v3/config_source_pb.ts";
import {
  type FilterChain,
  FilterChainSchema,
} from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { TlsInspectorSchema } from "../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import {
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  HttpConnectionManagerSchema,
  type HttpFilter,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { DownstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { sameItems } from "../incremental.ts";
import { encodeResource, type SnapshotResource } from "../xds/snapshot.ts";
import { credentialName, type GatewayServer, type PortServers, routeName } from "./servers.ts";

/** The listener of one port. Its filters hold no plugin's configuration: an edit of one leaves it as it is. */
export function buildListener(port: PortServers, filters: readonly HttpFilter[]): SnapshotResource {
  const name = `${port.bind}_${port.port}`;
  const listener = create(ListenerSchema, {
    name,
    address: {
      address: {
        case: "socketAddress",
        value: { address: port.bind, portSpecifier: { case: "portValue", value: port.port } },
      },
    },
    filterChains: port.tls
      ? port.servers.map((server) => tlsFilterChain(port, server, filters))
      : [create(FilterChainSchema, { filters: [connectionManager(port, port.servers[0]!, filters)] })],
    listenerFilters: port.tls ? [tlsInspector] : [],
    perConnectionBufferLimitBytes: 32768,
  });
  return encodeResource(name, ListenerSchema, listener);
}

/**
 * Whether two states of a port have the same listener. One without TLS serves all hosts alike: which there are, is in its
 * routes alone.
 */
export function isSameListener(a: PortServers, b: PortServers): boolean {
  if (a.bind !== b.bind || a.port !== b.port || a.tls !== b.tls) return false;
  if (!a.tls) return true;
  const partsOf = ({ servers }: PortServers) => servers.flatMap(({ gateway, server }) => [gateway, server]);
  return sameItems(partsOf(a), partsOf(b));
}

/** ADS as the source of whatever a listener or cluster refers to. */
export const adsSource: ConfigSource = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: "ads", value: {} },
  resourceApiVersion: ApiVersion.V3,
});

const tlsInspector = {
  name: "envoy.filters.listener.tls_inspector",
  configType: { case: "typedConfig", value: anyPack(TlsInspectorSchema, create(TlsInspectorSchema)) },
} as const;

function connectionManager(port: PortServers, server: GatewayServer, filters: readonly HttpFilter[]) {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: `outbound_${port.bind}_${port.port}`,
    routeSpecifier: {
      case: "rds",
      value: { configSource: adsSource, routeConfigName: routeName(port, server) },
    },
    httpFilters: [...filters],
    useRemoteAddress: true,
    normalizePath: true,
    forwardClientCertDetails: ForwardClientCert.SANITIZE_SET,
    setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
    upgradeConfigs: [{ upgradeType: "websocket" }],
    // Streams may be idle for long (server-sent events, WebSocket): the upstream and the routes decide.
    streamIdleTimeout: { seconds: 0n },
  });
  return {
    name: "envoy.filters.network.http_connection_manager",
    configType: { case: "typedConfig", value: anyPack(HttpConnectionManagerSchema, manager) },
  } as const;
}

/** One HTTPS server: chosen by the name that the client asks for, with its certificate from SDS. */
function tlsFilterChain(
  port: PortServers,
  server: GatewayServer,
  filters: readonly HttpFilter[],
): FilterChain {
  const tls = create(DownstreamTlsContextSchema, {
    commonTlsContext: {
      alpnProtocols: ["h2", "http/1.1"],
      tlsCertificateSdsSecretConfigs: [{ name: credentialName(server), sdsConfig: adsSource }],
    },
  });
  const names = server.server.hosts.map(hostOf).filter((host) => host !== "*");
  return create(FilterChainSchema, {
    filterChainMatch: { serverNames: names },
    filters: [connectionManager(port, server, filters)],
    transportSocket: {
      name: "envoy.transport_sockets.tls",
      configType: { case: "typedConfig", value: anyPack(DownstreamTlsContextSchema, tls) },
    },
  });
}

/** A Gateway's host may carry a namespace: `ns/host`. */
export function hostOf(host: string): string {
  return host.slice(host.indexOf("/") + 1);
}
