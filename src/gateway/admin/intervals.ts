import { countsSince, type HistogramCounts } from "../stats/histogram.ts";
import type { StatsSnapshot } from "../stats/stats-snapshot.ts";
import type { Intervals } from "../stats/stats-text.ts";

/** Envoy's `stats_flush_interval`. */
const flushMs = 5000;
/** Nobody has asked for so long: nobody looks. */
const idleMs = 60_000;

/**
 * Gives what histograms have recorded in the last whole interval of five seconds. Unlike Envoy: intervals begin when
 * somebody asks, and end when nobody has asked for a minute, so that a gateway that nobody looks at does nothing.
 */
export function watchIntervals(
  read: () => StatsSnapshot | Promise<StatsSnapshot>,
  signal: AbortSignal,
): () => Intervals {
  let before: Intervals | undefined;
  let latest: Intervals = new Map();
  let askedAt = 0;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    before = undefined;
    latest = new Map();
  };
  const flush = async () => {
    if (performance.now() - askedAt > idleMs) return stop();
    const now = histogramsOf(await read());
    const known = before;
    if (known)
      latest = new Map([...now].map(([name, counts]) => [name, countsSince(counts, known.get(name) ?? [])]));
    before = now;
  };
  signal.addEventListener("abort", stop);
  return () => {
    askedAt = performance.now();
    if (timer === undefined && !signal.aborted) {
      timer = setInterval(() => void flush().catch(() => {}), flushMs).unref();
      void flush().catch(() => {});
    }
    return latest;
  };
}

function histogramsOf(snapshot: StatsSnapshot): ReadonlyMap<string, HistogramCounts> {
  return new Map(
    snapshot.flatMap(({ prefix, histograms }) =>
      Object.entries(histograms)
        .filter(([, counts]) => counts.length > 0)
        .map(([leaf, counts]) => [`${prefix}${leaf}`, counts] as const),
    ),
  );
}
