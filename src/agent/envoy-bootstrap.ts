import type { JsonObject } from "../resource/types.ts";
import { ownAgent } from "../xds/own-agent.ts";
import type { GatewayNode } from "./node.ts";

/** A bootstrap as a plain object. Only what others read of it is spelled out. */
export interface EnvoyBootstrap extends JsonObject {
  readonly admin: {
    readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } };
    readonly ignore_global_conn_limit: boolean;
  };
}

export interface BootstrapOptions {
  readonly node: GatewayNode;
  /** The unix socket at which the agent serves ADS. */
  readonly xdsSocket: string;
  readonly adminAddress: string;
  readonly adminPort: number;
  /** Incremental xDS; otherwise the state of the world. */
  readonly delta: boolean;
  /** Connections above this number are refused. The admin interface does not count. */
  readonly maxConnections?: number;
}

const xdsCluster = "xds-grpc";
const typeUrl = (name: string) => `type.googleapis.com/${name}`;

/**
 * Envoy's bootstrap as proto3 JSON: everything but the admin interface comes by ADS from the agent's socket, with names
 * as Istio's agent uses them. No statistics are left out, so that those of Wasm and of extension discovery are there.
 */
export function envoyBootstrap(options: BootstrapOptions): EnvoyBootstrap {
  const { node, xdsSocket, adminAddress, adminPort, delta, maxConnections = 50_000 } = options;
  return {
    node: { id: node.id, cluster: node.cluster, metadata: { ...node.metadata, ...ownAgent } },
    admin: {
      address: { socket_address: { address: adminAddress, port_value: adminPort } },
      ignore_global_conn_limit: true,
    },
    dynamic_resources: {
      ads_config: adsConfig(delta),
      lds_config: fromAds,
      cds_config: fromAds,
    },
    static_resources: { clusters: [agentCluster(xdsSocket)] },
    stats_config: { stats_tags: [pluginTag] },
    layered_runtime: { layers: [{ name: "static", static_layer: runtime }] },
    overload_manager: { resource_monitors: [connectionMonitor(maxConnections)] },
  };
}

// 0s waits for as long as it takes: a gateway that serves without its plugins is worse than one that is not ready.
const fromAds: JsonObject = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };

/** Envoy limits regular expressions to a size of 100; Istio's limit lets through what people write in routes. */
const runtime: JsonObject = { "re2.max_program_size.error_level": 32_768 };

/** Makes the name of a plugin a label in Prometheus, in place of a part of the metric's name. */
const pluginTag: JsonObject = {
  tag_name: "extension_config",
  regex: "^extension_config_discovery\\.(?:http|network)_filter\\.((.+)\\.)\\w+$",
};

function adsConfig(delta: boolean): JsonObject {
  // The agent is on this machine and paces the way upstream itself: when it is back, Envoy should be too.
  const retry = { retry_back_off: { base_interval: "0.1s", max_interval: "2s" } };
  return {
    api_type: delta ? "DELTA_GRPC" : "GRPC",
    transport_api_version: "V3",
    set_node_on_first_message_only: true,
    grpc_services: [{ envoy_grpc: { cluster_name: xdsCluster, retry_policy: retry } }],
  };
}

function agentCluster(xdsSocket: string): JsonObject {
  const endpoint = { address: { pipe: { path: xdsSocket } } };
  return {
    name: xdsCluster,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: xdsCluster, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": typeUrl("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        explicit_http_config: {
          http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "10s" } },
        },
      },
    },
  };
}

function connectionMonitor(maxConnections: number): JsonObject {
  return {
    name: "envoy.resource_monitors.global_downstream_max_connections",
    typed_config: {
      "@type": typeUrl(
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
      ),
      max_active_downstream_connections: maxConnections,
    },
  };
}
