import type { HttpStream } from "../http-stream.ts";
import { record } from "./histogram.ts";
import { countClass, type HttpStats, type ListenerHttpStats } from "./http-stats.ts";

/** Where the streams of a plan are counted. */
export interface PlanStats {
  readonly http: HttpStats;
  readonly listener: ListenerHttpStats;
}

/** By Envoy's details of a response that the gateway made itself. */
const detailCounters: Readonly<Record<string, keyof HttpStats["counters"]>> = {
  cluster_not_found: "no_cluster",
  direct_response: "rq_direct_response",
  max_duration_timeout: "downstream_rq_max_duration_reached",
  path_normalization_failed: "downstream_rq_failed_path_normalization",
  path_normalization_redirect: "downstream_rq_redirected_with_normalized_path",
  absolute_path_rejected: "downstream_rq_non_relative_path",
  request_header_timeout: "downstream_rq_header_timeout",
  request_overall_timeout: "downstream_rq_timeout",
  request_payload_too_large: "downstream_rq_too_large",
  response_payload_too_large: "rs_too_large",
  route_not_found: "no_route",
  stream_idle_timeout: "downstream_rq_idle_timeout",
  upgrade_failed: "downstream_rq_ws_on_non_ws_route",
};

export function countStreamStart(
  { http: { counters, gauges } }: PlanStats,
  { downstream }: HttpStream,
): void {
  counters.downstream_rq_total++;
  gauges.downstream_rq_active++;
  if (downstream.protocol === "HTTP/2") counters.downstream_rq_http2_total++;
  else counters.downstream_rq_http1_total++;
  downstream.connection.count.streams++;
}

export function countStreamEnd({ http, listener }: PlanStats, stream: HttpStream): void {
  const { counters, gauges, histograms } = http;
  const { downstream, chain, reachedRouter } = stream;
  gauges.downstream_rq_active--;
  downstream.connection.count.streams--;
  record(histograms.downstream_rq_time, stream.endMs ?? 0);
  if (reachedRouter) counters.rq_total++;
  const status = Number(stream.sentHeaders?.get(":status") ?? 0);
  if (status > 0) {
    countClass(counters, status);
    countClass(listener.counters, status);
    if (stream.requestEndMs === undefined && !downstream.isUpgrade)
      counters.downstream_rq_response_before_rq_complete++;
  }
  if (status === switching) countUpgrade(http);
  if (chain.details !== undefined) countDetails(counters, chain.details);
}

const switching = 101;

function countUpgrade({ counters }: HttpStats): void {
  counters.downstream_cx_upgrades_total++;
}

function countDetails(counters: HttpStats["counters"], details: string): void {
  const name = Object.hasOwn(detailCounters, details) ? detailCounters[details] : undefined;
  if (name) counters[name]++;
  else if (details.startsWith("http1.")) counters.downstream_cx_protocol_error++;
  else if (details === "downstream_remote_disconnect") counters.downstream_rq_rx_reset++;
  else if (details.startsWith("upstream_reset_after_response_started")) {
    counters.downstream_rq_tx_reset++;
    counters.rq_reset_after_downstream_response_started++;
  }
}
