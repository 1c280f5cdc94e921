import { countsSince, type HistogramCounts } from "../stats/histogram.ts";
import type { StatsSnapshot } from "../stats/stats-snapshot.ts";
import type { Intervals } from "../stats/stats-text.ts";

/** Envoy's `stats_flush_interval`. */
const flushMs = 5000;

/** Looks at histograms every five seconds, so that pages can tell what the last whole interval has brought. */
export function watchIntervals(
  read: () => StatsSnapshot | Promise<StatsSnapshot>,
  signal: AbortSignal,
): () => Intervals {
  let before: Intervals = new Map();
  let latest: Intervals = new Map();
  let isBusy = false;
  const flush = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const now = histogramsOf(await read());
      latest = new Map([...now].map(([name, counts]) => [name, countsSince(counts, before.get(name) ?? [])]));
      before = now;
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(() => void flush().catch(() => {}), flushMs);
  timer.unref();
  signal.addEventListener("abort", () => clearInterval(timer));
  return () => latest;
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
