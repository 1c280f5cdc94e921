import type { Histogram } from "./histogram.ts";
import { httpCounters, httpGauges } from "./http-figures.ts";
import type { StatScope } from "./stat-scope.ts";
import type { Label } from "./stats-snapshot.ts";

/** Figures of all connection managers with a stat prefix. */
export type HttpStats = StatScope<
  ReturnType<typeof httpCounters>,
  ReturnType<typeof httpGauges>,
  { readonly downstream_cx_length_ms: Histogram; readonly downstream_rq_time: Histogram }
>;

/** What a listener counts of its responses, for each of its stat prefixes. */
export type ListenerHttpStats = StatScope<ReturnType<typeof classCounters>>;

export function prefixLabel(statPrefix: string): Label {
  return ["envoy_http_conn_manager_prefix", statPrefix];
}

export function createHttpStats(statPrefix: string): HttpStats {
  return {
    prefix: `http.${statPrefix}.`,
    metricPrefix: "http.",
    labels: [prefixLabel(statPrefix)],
    counters: httpCounters(),
    gauges: httpGauges(),
    histograms: { downstream_cx_length_ms: new Map(), downstream_rq_time: new Map() },
  };
}

export function createListenerHttpStats(address: string, statPrefix: string): ListenerHttpStats {
  return {
    prefix: `listener.${address}.http.${statPrefix}.`,
    metricPrefix: "listener.http.",
    labels: [prefixLabel(statPrefix), ["envoy_listener_address", address]],
    counters: classCounters(),
    gauges: {},
    histograms: {},
  };
}

function classCounters() {
  return {
    downstream_rq_1xx: 0,
    downstream_rq_2xx: 0,
    downstream_rq_3xx: 0,
    downstream_rq_4xx: 0,
    downstream_rq_5xx: 0,
    downstream_rq_completed: 0,
  };
}

/** Counts a response's class. */
export function countClass(counters: ReturnType<typeof classCounters>, status: number): void {
  counters.downstream_rq_completed++;
  if (status < 200) counters.downstream_rq_1xx++;
  else if (status < 300) counters.downstream_rq_2xx++;
  else if (status < 400) counters.downstream_rq_3xx++;
  else if (status < 500) counters.downstream_rq_4xx++;
  else counters.downstream_rq_5xx++;
}
