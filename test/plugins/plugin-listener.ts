import { extension, loopback, stringValue, wasm } from "../guests/envoy/config.ts";

/** Where a stream goes: what `route_name` and `cluster_name` are for plugins. */
export interface StreamRoute {
  readonly route: string;
  /** Left out: the proxy answers by itself, and the stream has no cluster. */
  readonly cluster?: string;
}

/** A plugin with one configuration, on a listener of its own. */
export interface PluginListener {
  readonly id: string;
  /** Absolute path of the module. */
  readonly module: string;
  readonly configuration: string;
  /** A request says which by its number in the header `routeHeader`. */
  readonly routes: readonly StreamRoute[];
}

/** The header by which a request chooses its route. */
export const routeHeader = "x-vector-route";

/** The listener as Envoy takes it: the plugin and the router, HTTP/2 on a free port. */
export function pluginListener({ id, module, configuration, routes }: PluginListener): object {
  const connectionManager = {
    "@type": `${extension}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: id,
    codec_type: "HTTP2",
    generate_request_id: false,
    skip_xff_append: true,
    server_header_transformation: "PASS_THROUGH",
    delayed_close_timeout: "0s",
    access_log: [accessLog(id)],
    route_config: {
      name: "vectors",
      virtual_hosts: [{ name: "any", domains: ["*"], routes: routes.map(routeOf) }],
    },
    http_filters: [
      pluginFilter(module, configuration),
      {
        name: "router",
        typed_config: { "@type": `${extension}.filters.http.router.v3.Router`, suppress_envoy_headers: true },
      },
    ],
  };
  const filter = { name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager };
  return {
    "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
    name: id,
    address: loopback(0),
    filter_chains: [{ filters: [filter] }],
  };
}

function routeOf({ route, cluster }: StreamRoute, index: number): object {
  return {
    name: route,
    match: { prefix: "", headers: [{ name: routeHeader, string_match: { exact: String(index) } }] },
    ...(cluster === undefined ? { direct_response: { status: 200 } } : { route: { cluster } }),
  };
}

/** All configurations of a module share a VM: it is compiled once. */
function pluginFilter(module: string, configuration: string): object {
  return wasm({
    name: "plugin",
    ...(configuration === "" ? {} : { configuration: { "@type": stringValue, value: configuration } }),
    failure_policy: "FAIL_CLOSED",
    vm_config: {
      vm_id: module,
      runtime: "envoy.wasm.runtime.v8",
      code: { local: { filename: module } },
    },
  });
}

/** One line at the end of each stream: the listener, and why the stream ended. */
function accessLog(id: string): object {
  return {
    name: "envoy.access_loggers.stderr",
    typed_config: {
      "@type": `${extension}.access_loggers.stream.v3.StderrAccessLog`,
      log_format: { text_format_source: { inline_string: `ACCESS ${id} %RESPONSE_CODE_DETAILS%\n` } },
    },
  };
}
