import { coalesce } from "../watchable.ts";
import type { PluginReport, ReportChanges } from "../xds/plugin-report.ts";

type Reports = ReadonlyMap<string, PluginReport>;

/** Reports of plugins, told to any number of listeners: all at first, then what changes. */
export interface ReportStream {
  /** To be called when a report may have changed. */
  onChange(): void;
  /** Sends JSON of `ReportChanges` until the signal aborts. */
  watch(send: (data: string) => void, signal: AbortSignal): void;
}

/** Between two looks at what gateways have answered, however much they say: a storm of answers is told in few steps. */
const minIntervalMs = 50;

/** A stream of the reports that `collect` gives. While nobody listens, nothing is collected. */
export function createReportStream(collect: () => Reports): ReportStream {
  const listeners = new Set<(data: string) => void>();
  let told: Reports = new Map();
  let last = 0;

  const tell = coalesce(async () => {
    await new Promise((resolve) => setTimeout(resolve, last + minIntervalMs - performance.now()));
    last = performance.now();
    if (listeners.size === 0) return;
    const now = collect();
    const changes = changesBetween(told, now);
    told = now;
    if (changes.changed.length === 0 && changes.removed.length === 0) return;
    const data = JSON.stringify(changes);
    for (const send of listeners) send(data);
  });

  return {
    onChange() {
      if (listeners.size > 0) tell();
    },
    watch(send, signal) {
      if (listeners.size === 0) told = collect();
      send(JSON.stringify({ changed: [...told.values()], removed: [] } satisfies ReportChanges));
      listeners.add(send);
      signal.addEventListener("abort", () => listeners.delete(send), { once: true });
      tell();
    },
  };
}

function changesBetween(before: Reports, now: Reports): ReportChanges {
  const changed = [...now.values()].filter((report) => !isSame(before.get(report.name), report));
  return { changed, removed: [...before.keys()].filter((name) => !now.has(name)) };
}

/** What has changed nearly always has changed in a number; the rest is compared as text. */
function isSame(a: PluginReport | undefined, b: PluginReport): boolean {
  if (a?.version !== b.version || a.gateways !== b.gateways || a.programmed !== b.programmed) return false;
  return (
    a.refused === b.refused &&
    JSON.stringify([a.refusals, a.modules]) === JSON.stringify([b.refusals, b.modules])
  );
}
