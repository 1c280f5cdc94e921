import type { ModuleImport } from "./read-module.ts";

/** The proxy-wasm ABIs that a stock Envoy knows, by the export that marks them. */
export const stockMarkers = [
  "proxy_abi_version_0_1_0",
  "proxy_abi_version_0_2_0",
  "proxy_abi_version_0_2_1",
] as const;

export type StockMarker = (typeof stockMarkers)[number];

/** Higress' ABI: 0.2.1 with functions of its own. */
export const higressMarker = "proxy_abi_version_0_2_100";

const words = (text: string) => text.trim().split(/\s+/);
const proxy = (text: string) => words(text).map((name) => `proxy_${name}`);

/** Module `env`, whatever the ABI. */
const always = [
  ...words("pthread_equal emscripten_notify_memory_growth envoy_resolve_dns"),
  ...proxy(`
    log get_status get_current_time_nanoseconds set_tick_period_milliseconds set_effective_context done
    get_property set_property get_buffer_bytes get_buffer_status set_buffer_bytes
    get_header_map_size get_header_map_pairs set_header_map_pairs get_header_map_value
    add_header_map_value replace_header_map_value remove_header_map_value
    send_local_response http_call grpc_call grpc_stream grpc_send grpc_cancel grpc_close
    get_shared_data set_shared_data
    register_shared_queue resolve_shared_queue enqueue_shared_queue dequeue_shared_queue
    define_metric increment_metric record_metric get_metric call_foreign_function`),
];

/** Module `env`, by the ABI. */
const ofAbi: Readonly<Record<StockMarker, readonly string[]>> = {
  proxy_abi_version_0_1_0: proxy("get_configuration continue_request continue_response clear_route_cache"),
  proxy_abi_version_0_2_0: proxy("continue_stream close_stream"),
  proxy_abi_version_0_2_1: proxy("continue_stream close_stream get_log_level"),
};

/** The modules by which WASI preview 1 may be imported. */
export const wasiModules = ["wasi_snapshot_preview1", "wasi_unstable"] as const;

/** WASI preview 1 as Envoy has it: all of it but `proc_raise`. */
export const wasiFunctions: readonly string[] = words(`
  args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get
  fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights
  fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread fd_prestat_dir_name fd_prestat_get
  fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write
  path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink
  path_remove_directory path_rename path_symlink path_unlink_file
  poll_oneoff proc_exit random_get sched_yield sock_accept sock_recv sock_send sock_shutdown`);

/** Module `env`, in Higress' Envoy only. It has them for 0.2.1 as for its own ABI. */
export const higressFunctions: readonly string[] = proxy(`
  redis_init redis_call inject_encoded_data_to_filter_chain get_upstream_hosts set_upstream_override_host`);

/** The functions of module `env` that a stock Envoy 1.40 offers to modules of an ABI. */
export function stockFunctions(marker: StockMarker): readonly string[] {
  return [...always, ...ofAbi[marker]];
}

/** The functions that a stock Envoy 1.40 offers to modules of an ABI, as `module.name`. */
export function stockImports(marker: StockMarker): ReadonlySet<string> {
  const wasi = wasiModules.flatMap((module) => wasiFunctions.map((name) => `${module}.${name}`));
  return new Set([...stockFunctions(marker).map((name) => `env.${name}`), ...wasi]);
}

/** The functions that only Higress' Envoy offers, as `module.name`. */
export const higressImports: ReadonlySet<string> = new Set(higressFunctions.map((name) => `env.${name}`));

/** An import as Envoy's log names it. */
export function importName({ module, name }: ModuleImport): string {
  return `${module}.${name}`;
}
