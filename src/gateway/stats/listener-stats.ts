import type { TLSSocket } from "node:tls";
import type { Histogram } from "./histogram.ts";
import type { Figures, StatScope } from "./stat-scope.ts";

/** Figures of a listener's address, as in `127.0.0.1_8080`. */
export type ListenerStats = StatScope<
  ReturnType<typeof listenerCounters>,
  { downstream_cx_active: number; downstream_pre_cx_active: number },
  { readonly downstream_cx_length_ms: Histogram }
>;

/** Figures of a listener's TLS. */
export type ListenerTlsStats = StatScope<ReturnType<typeof tlsCounters>>;

export function createListenerStats(address: string): ListenerStats {
  return {
    prefix: `listener.${address}.`,
    metricPrefix: "listener.",
    labels: [["envoy_listener_address", address]],
    counters: listenerCounters(),
    gauges: { downstream_cx_active: 0, downstream_pre_cx_active: 0 },
    histograms: { downstream_cx_length_ms: new Map() },
  };
}

export function createListenerTlsStats(address: string): ListenerTlsStats {
  return {
    prefix: `listener.${address}.`,
    metricPrefix: "listener.",
    labels: [["envoy_listener_address", address]],
    counters: tlsCounters(),
    gauges: {},
    histograms: {},
  };
}

/** What one worker has of it. */
export function workerFigures({ counters, gauges }: ListenerStats, worker: number): Figures {
  return {
    counters: { [`worker_${worker}.downstream_cx_total`]: counters.downstream_cx_total },
    gauges: { [`worker_${worker}.downstream_cx_active`]: gauges.downstream_cx_active },
  };
}

/** Counts a handshake that succeeded. What it agreed on is in the names, as in `ssl.versions.TLSv1.3`. */
export function countHandshake({ counters }: ListenerTlsStats, socket: TLSSocket): void {
  counters["ssl.handshake"]++;
  if (!socket.getPeerX509Certificate()) counters["ssl.no_certificate"]++;
  if (socket.isSessionReused()) counters["ssl.session_reused"]++;
  const agreed = counters as Record<string, number>;
  const names = [`ssl.versions.${socket.getProtocol()}`, `ssl.ciphers.${socket.getCipher().standardName}`];
  for (const name of names) agreed[name] = (agreed[name] ?? 0) + 1;
}

/** `0.0.0.0_8080`, `[__1]_8080`: as Envoy writes an address in a name. */
export function addressInNames(address: string, port: number): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `${host}:${port}`.replaceAll(":", "_");
}

function listenerCounters() {
  return {
    downstream_cx_destroy: 0,
    downstream_cx_overflow: 0,
    downstream_cx_overload_reject: 0,
    downstream_cx_total: 0,
    downstream_cx_transport_socket_connect_timeout: 0,
    downstream_global_cx_overflow: 0,
    downstream_listener_filter_error: 0,
    downstream_listener_filter_remote_close: 0,
    downstream_pre_cx_timeout: 0,
    extension_config_missing: 0,
    network_extension_config_missing: 0,
    no_filter_chain_match: 0,
  };
}

function tlsCounters() {
  return {
    "server_ssl_socket_factory.downstream_context_secrets_not_ready": 0,
    "server_ssl_socket_factory.ssl_context_update_by_sds": 0,
    "server_ssl_socket_factory.upstream_context_secrets_not_ready": 0,
    "ssl.connection_error": 0,
    "ssl.fail_verify_cert_hash": 0,
    "ssl.fail_verify_error": 0,
    "ssl.fail_verify_no_cert": 0,
    "ssl.fail_verify_san": 0,
    "ssl.handshake": 0,
    "ssl.no_certificate": 0,
    "ssl.ocsp_staple_failed": 0,
    "ssl.ocsp_staple_omitted": 0,
    "ssl.ocsp_staple_requests": 0,
    "ssl.ocsp_staple_responses": 0,
    "ssl.session_reused": 0,
  };
}
