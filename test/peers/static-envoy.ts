import type { JsonValue } from "@bufbuild/protobuf";

/** A plugin in a configuration that an Envoy reads at its start. */
export interface EnvoyPlugin {
  readonly name: string;
  readonly file: string;
  readonly configuration: string;
}

const any = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;
const manager = "filters.network.http_connection_manager.v3.HttpConnectionManager";

export interface StaticEnvoyOptions {
  readonly port: number;
  readonly upstreamPort: number;
  readonly plugins?: readonly EnvoyPlugin[];
  /** Of the one virtual host; everything to the cluster `up` if they are left out. */
  readonly routes?: JsonValue;
}

const catchAll: JsonValue = [{ name: "all", match: { prefix: "/" }, route: { cluster: "up" } }];

/** A bootstrap with one listener and one cluster, as JSON: what `gatewayConfig` has for the embedded gateway. */
export function staticEnvoy({
  port,
  upstreamPort,
  plugins = [],
  routes = catchAll,
}: StaticEnvoyOptions): string {
  const listener = {
    name: "test",
    address: address(port),
    filter_chains: [{ filters: [{ name: "hcm", typed_config: connectionManager(plugins, routes) }] }],
  };
  const up = {
    name: "up",
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: {
      cluster_name: "up",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstreamPort) } }] }],
    },
  };
  return JSON.stringify({ static_resources: { listeners: [listener], clusters: [up] } });
}

function address(port: number): JsonValue {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

function connectionManager(plugins: readonly EnvoyPlugin[], routes: JsonValue): JsonValue {
  const router = { name: "router", typed_config: { "@type": any("filters.http.router.v3.Router") } };
  return {
    "@type": any(manager),
    stat_prefix: "test",
    use_remote_address: true,
    normalize_path: true,
    stream_idle_timeout: "0s",
    upgrade_configs: [{ upgrade_type: "websocket" }],
    http_filters: [...plugins.map(wasm), router],
    route_config: { name: "routes", virtual_hosts: [{ name: "any", domains: ["*"], routes }] },
  };
}

function wasm({ name, file, configuration }: EnvoyPlugin): JsonValue {
  const value = { "@type": "type.googleapis.com/google.protobuf.StringValue", value: configuration };
  return {
    name,
    typed_config: {
      "@type": any("filters.http.wasm.v3.Wasm"),
      config: {
        name,
        configuration: value,
        vm_config: { runtime: "envoy.wasm.runtime.v8", code: { local: { filename: file } } },
      },
    },
  };
}
