import type { Socket } from "node:net";
import { record } from "./histogram.ts";
import type { HttpStats } from "./http-stats.ts";
import type { ListenerStats } from "./listener-stats.ts";

/** What is counted of a client's connection while it lasts. */
export interface ConnectionCount {
  /** Requests under way. */
  streams: number;
}

export interface ServedConnection {
  readonly count: ConnectionCount;
  /** Bytes of it are HTTP's: a TLS socket's are those that were decrypted. */
  readonly socket: Pick<Socket, "bytesRead" | "bytesWritten" | "once">;
  readonly protocol: "http1" | "http2";
  readonly isSecure: boolean;
}

/** Connections that are there, so that their bytes are counted before they end. */
export interface ConnectionCounter {
  accepted(socket: Socket, stats: ListenerStats): void;
  served(connection: ServedConnection, stats: HttpStats): void;
  /** Brings counters of bytes up to date. */
  flush(): void;
}

export function createConnectionCounter(): ConnectionCounter {
  const flushes = new Set<() => void>();
  return {
    accepted(socket, { counters, gauges, histograms }) {
      const since = performance.now();
      counters.downstream_cx_total++;
      gauges.downstream_cx_active++;
      socket.once("close", () => {
        counters.downstream_cx_destroy++;
        gauges.downstream_cx_active--;
        record(histograms.downstream_cx_length_ms, performance.now() - since);
      });
    },
    served(connection, stats) {
      const flush = countBytes(connection.socket, stats);
      flushes.add(flush);
      countServed(connection, stats, () => {
        flushes.delete(flush);
        flush();
      });
    },
    flush() {
      for (const flush of flushes) flush();
    },
  };
}

function countServed(
  { count, socket, protocol, isSecure }: ServedConnection,
  { counters, gauges, histograms }: HttpStats,
  onClosed: () => void,
): void {
  const since = performance.now();
  const add = (active: 1 | -1) => {
    gauges.downstream_cx_active += active;
    if (isSecure) gauges.downstream_cx_ssl_active += active;
    if (protocol === "http1") gauges.downstream_cx_http1_active += active;
    else gauges.downstream_cx_http2_active += active;
  };
  add(1);
  counters.downstream_cx_total++;
  if (isSecure) counters.downstream_cx_ssl_total++;
  if (protocol === "http1") counters.downstream_cx_http1_total++;
  else counters.downstream_cx_http2_total++;
  let isRemote = false;
  socket.once("end", () => {
    isRemote = !(socket as Socket).writableEnded;
  });
  socket.once("close", () => {
    add(-1);
    countEnd(counters, isRemote, count.streams > 0);
    record(histograms.downstream_cx_length_ms, performance.now() - since);
    onClosed();
  });
}

function countEnd(counters: HttpStats["counters"], isRemote: boolean, isActive: boolean): void {
  counters.downstream_cx_destroy++;
  if (isRemote) counters.downstream_cx_destroy_remote++;
  else counters.downstream_cx_destroy_local++;
  if (!isActive) return;
  counters.downstream_cx_destroy_active_rq++;
  if (isRemote) counters.downstream_cx_destroy_remote_active_rq++;
  else counters.downstream_cx_destroy_local_active_rq++;
}

function countBytes(socket: ServedConnection["socket"], { counters }: HttpStats): () => void {
  let [received, sent] = [0, 0];
  return () => {
    const { bytesRead, bytesWritten } = socket;
    counters.downstream_cx_rx_bytes_total += bytesRead - received;
    counters.downstream_cx_tx_bytes_total += bytesWritten - sent;
    [received, sent] = [bytesRead, bytesWritten];
  };
}
