import { type Case, type CaseFile, configText } from "../case-file.ts";

/** The beginning of the type URLs of Envoy's extensions. */
export const extension = "type.googleapis.com/envoy.extensions";
export const stringValue = "type.googleapis.com/google.protobuf.StringValue";

/** Where a case's configuration has its files and its ports. */
export interface Run {
  readonly id: string;
  readonly file: CaseFile;
  readonly case: Case;
  /** Absolute path of the module. */
  readonly wasm: string;
  /** The guest that sets the case's properties. */
  readonly propertySetter: string;
  /** Cases with the same name share a VM. */
  readonly vmId: string;
}

/** The bootstrap of an Envoy that takes its listeners and clusters from two files. */
export function bootstrap(dir: string): object {
  const source = (name: string) => ({
    resource_api_version: "V3",
    path_config_source: { path: `${dir}/${name}`, watched_directory: { path: dir } },
  });
  return {
    node: {
      id: "guests",
      cluster: "test-cluster",
      metadata: { ROLE: "test" },
      locality: { region: "r", zone: "z" },
    },
    admin: { address: loopback(0) },
    dynamic_resources: { lds_config: source("lds.json"), cds_config: source("cds.json") },
    stats_flush_interval: "0.05s",
  };
}

/** A port of this machine; 0 is a free one. */
export function loopback(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

/** A cluster that speaks HTTP/2 to a port, or to nothing. */
export function cluster(name: string, port: number): object {
  const hosts = [{ endpoint: { address: loopback(port) } }];
  return {
    "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    name,
    connect_timeout: "2s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: hosts }] },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${extension}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
}

/** The listener of a case: the plugin under test and the router. */
export function listener(run: Run): object {
  const filters = [...propertyFilter(run), wasmFilter(run)];
  return {
    "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
    name: run.id,
    address: loopback(0),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: connectionManager(run, filters),
          },
        ],
      },
    ],
  };
}

function connectionManager(run: Run, filters: readonly object[]): object {
  const router = {
    name: "router",
    typed_config: { "@type": `${extension}.filters.http.router.v3.Router`, suppress_envoy_headers: true },
  };
  return {
    "@type": `${extension}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: run.id,
    codec_type: "HTTP2",
    generate_request_id: false,
    skip_xff_append: true,
    server_header_transformation: "PASS_THROUGH",
    drain_timeout: "0.01s",
    delayed_close_timeout: "0s",
    access_log: [accessLog(run.id)],
    route_config: {
      name: "test-routes",
      virtual_hosts: [
        {
          name: "test-host",
          domains: ["*"],
          routes: [
            {
              name: "other-route",
              match: { prefix: "/", headers: [{ name: "x-other", string_match: { exact: "1" } }] },
              route: { cluster: "other" },
            },
            { name: "test-route", match: { prefix: "/" }, route: { cluster: "upstream", timeout: "20s" } },
          ],
        },
      ],
    },
    http_filters: [...filters, router],
  };
}

/** One line at the end of each stream, which says how it ended. */
function accessLog(id: string): object {
  const format = `ACCESS ${id} %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER%\n`;
  return {
    name: "envoy.access_loggers.stderr",
    typed_config: {
      "@type": `${extension}.access_loggers.stream.v3.StderrAccessLog`,
      log_format: { text_format_source: { inline_string: format } },
    },
  };
}

function wasmFilter(run: Run): object {
  const { case: test, file } = run;
  const config = test.config === undefined ? file.config : test.config;
  const policy = { closed: "FAIL_CLOSED", open: "FAIL_OPEN", reload: "FAIL_RELOAD" }[
    test.failure ?? "closed"
  ];
  return wasm({
    name: run.id,
    root_id: test.rootId ?? "",
    ...(config === undefined ? {} : { configuration: { "@type": stringValue, value: configText(config) } }),
    failure_policy: policy,
    ...(test.failure === "reload" ? { reload_config: { backoff: { base_interval: "0.01s" } } } : {}),
    ...(test.allowOnHeadersStopIteration ? { allow_on_headers_stop_iteration: true } : {}),
    vm_config: {
      vm_id: run.vmId,
      runtime: "envoy.wasm.runtime.v8",
      code: { local: { filename: run.wasm } },
      ...(test.vmConfig === undefined
        ? {}
        : { configuration: { "@type": stringValue, value: configText(test.vmConfig) } }),
      ...(test.env ? { environment_variables: { key_values: test.env } } : {}),
    },
  });
}

function propertyFilter({ case: test, propertySetter }: Run): object[] {
  if (!test.properties) return [];
  return [
    wasm({
      name: "property-setter",
      configuration: { "@type": stringValue, value: JSON.stringify(test.properties) },
      vm_config: {
        vm_id: "property-setter",
        runtime: "envoy.wasm.runtime.v8",
        code: { local: { filename: propertySetter } },
      },
    }),
  ];
}

/** An HTTP filter that runs a module. */
export function wasm(config: { readonly name: string; readonly [key: string]: unknown }): object {
  return {
    name: config.name,
    typed_config: { "@type": `${extension}.filters.http.wasm.v3.Wasm`, config },
  };
}
