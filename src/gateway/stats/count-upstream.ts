import type { UpstreamReset } from "../upstream-stream.ts";
import type { ClusterStats, HostStats } from "./cluster-stats.ts";
import { record } from "./histogram.ts";

/** What is counted of connections to an endpoint. */
export interface PoolStats {
  readonly cluster: ClusterStats;
  readonly host: HostStats;
}

/** Of a connection that has ended. */
export interface EndedConnection {
  readonly requests: number;
  readonly lengthMs: number;
  /** It had a request. */
  readonly wasBusy: boolean;
  readonly isRemote: boolean;
  /** It never was connected. */
  readonly failed: UpstreamReset | undefined;
}

export function countOpened({ cluster, host }: PoolStats): void {
  cluster.counters.upstream_cx_total++;
  host.cx_total++;
  host.cx_active++;
}

export function countConnected({ cluster }: PoolStats, protocol: "http1" | "http2", connectMs: number): void {
  if (protocol === "http1") cluster.counters.upstream_cx_http1_total++;
  else cluster.counters.upstream_cx_http2_total++;
  record(cluster.histograms.upstream_cx_connect_ms, connectMs);
}

export function countClosed({ cluster, host }: PoolStats, ended: EndedConnection): void {
  const { counters, histograms } = cluster;
  host.cx_active--;
  counters.upstream_cx_destroy++;
  if (ended.isRemote) counters.upstream_cx_destroy_remote++;
  else counters.upstream_cx_destroy_local++;
  if (ended.wasBusy) {
    counters.upstream_cx_destroy_with_active_rq++;
    if (ended.isRemote) counters.upstream_cx_destroy_remote_with_active_rq++;
    else counters.upstream_cx_destroy_local_with_active_rq++;
  }
  record(histograms.upstream_cx_length_ms, ended.lengthMs);
  if (ended.failed) countFailed({ cluster, host }, ended.failed);
  else record(histograms.upstream_rq_per_cx, ended.requests);
}

function countFailed({ cluster: { counters }, host }: PoolStats, { reason }: UpstreamReset): void {
  counters.upstream_cx_connect_fail++;
  host.cx_connect_fail++;
  if (reason === "connection timeout") counters.upstream_cx_connect_timeout++;
}

/** Bytes of a connection. */
export interface TakenBytes {
  readonly received: number;
  readonly sent: number;
}

export function countBytes({ cluster: { counters } }: PoolStats, { received, sent }: TakenBytes): void {
  counters.upstream_cx_rx_bytes_total += received;
  counters.upstream_cx_tx_bytes_total += sent;
}

/** Counts how an attempt went: its status, or undefined where there was no response. */
export function countOutcome(host: HostStats, status: number | undefined): void {
  if (status !== undefined && status < 500) host.rq_success++;
  else host.rq_error++;
}
