import { availableParallelism } from "node:os";

/** What the gateway calls itself towards its control plane. */
export interface AdminNode {
  readonly id: string;
  readonly cluster?: string;
  readonly metadata?: object;
}

export interface ServerInfoOptions {
  readonly version: string;
  readonly node: AdminNode;
  readonly state: ServerStateName;
  readonly uptimeSeconds: number;
  readonly threads?: number;
  readonly drainSeconds: number;
}

/** Envoy's, by their numbers. */
export const serverStates = ["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"] as const;
export type ServerStateName = (typeof serverStates)[number];

/** `/server_info`, with all of Envoy's fields. */
export function serverInfo(options: ServerInfoOptions): object {
  const { version, node, state, uptimeSeconds, threads = 1, drainSeconds } = options;
  return {
    // Revision, version, status, build, TLS library: tools split it.
    version: `wasmline/${version}/Clean/RELEASE/OpenSSL-${process.versions.openssl}`,
    state,
    uptime_current_epoch: `${uptimeSeconds}s`,
    uptime_all_epochs: `${uptimeSeconds}s`,
    hot_restart_version: "disabled",
    command_line_options: commandLine(threads, drainSeconds),
    node: nodeJson(node, version),
    hot_restart_initializing: false,
  };
}

/** Unlike Envoy: most of these cannot be set, and have the value that describes this gateway. */
function commandLine(threads: number, drainSeconds: number): object {
  return {
    base_id: "0",
    concurrency: threads,
    config_path: "",
    config_yaml: "",
    allow_unknown_static_fields: false,
    admin_address_path: "",
    local_address_ip_version: "v4",
    log_level: "info",
    component_log_level: "",
    log_format: "",
    log_path: "",
    service_cluster: "",
    service_node: "",
    service_zone: "",
    file_flush_interval: "10s",
    drain_time: `${drainSeconds}s`,
    parent_shutdown_time: `${drainSeconds}s`,
    mode: "Serve",
    disable_hot_restart: true,
    enable_mutex_tracing: false,
    restart_epoch: 0,
    cpuset_threads: availableParallelism() < threads,
    reject_unknown_dynamic_fields: false,
    log_format_escaped: false,
    disabled_extensions: [],
    ignore_unknown_dynamic_fields: false,
    use_dynamic_base_id: false,
    base_id_path: "",
    drain_strategy: "Immediate",
    enable_fine_grain_logging: false,
    socket_path: "",
    socket_mode: 0,
    enable_core_dump: false,
    stats_tag: [],
    skip_hot_restart_on_no_parent: false,
    skip_hot_restart_parent_stats: false,
    skip_deprecated_logs: false,
    file_flush_min_size: 0,
    log_stacktrace_single_entry: false,
  };
}

/** As much as there is of a bootstrap, for `/config_dump`. */
export function bootstrapJson(node: AdminNode, version: string, bind: string, port: number): object {
  const {
    extensions,
    client_features: _,
    listening_addresses: __,
    dynamic_parameters: ___,
    ...rest
  } = nodeJson(node, version);
  return {
    node: { ...rest, extensions: extensions.map(({ name, category }) => ({ name, category })) },
    admin: { address: { socket_address: { address: bind, port_value: port } } },
  };
}

/** The node, and what is known of its program. */
function nodeJson({ id, cluster = "", metadata = {} }: AdminNode, version: string) {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  return {
    id,
    cluster,
    metadata,
    user_agent_name: "wasmline",
    user_agent_build_version: {
      version: { major_number: major, minor_number: minor, patch },
      metadata: {
        "build.type": "RELEASE",
        "revision.status": "Clean",
        "revision.sha": "",
        "ssl.version": `OpenSSL-${process.versions.openssl}`,
      },
    },
    extensions: extensions.map(([name, category]) => ({
      name,
      category,
      type_descriptor: "",
      disabled: false,
      type_urls: [],
    })),
    client_features: [],
    listening_addresses: [],
    dynamic_parameters: {},
  };
}

const extensions = [
  ..."composite cors fault filter_chain local_ratelimit rbac router wasm"
    .split(" ")
    .map((name) => [`envoy.filters.http.${name}`, "envoy.filters.http"] as const),
  ["envoy.filters.network.http_connection_manager", "envoy.filters.network"],
  ["envoy.filters.listener.tls_inspector", "envoy.filters.listener"],
  ["envoy.transport_sockets.tls", "envoy.transport_sockets.downstream"],
  ["envoy.transport_sockets.tls", "envoy.transport_sockets.upstream"],
  ["envoy.access_loggers.file", "envoy.access_loggers"],
  ["envoy.wasm.runtime.v8", "envoy.wasm.runtime"],
] as const;
