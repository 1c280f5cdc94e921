import { RE2JS } from "re2js";
import type { Page } from "../../http-server.ts";
import { errorText } from "../../system-error.ts";
import {
  allKinds,
  type Stat,
  type StatKind,
  type StatSelection,
  selectStats,
} from "../stats/select-stats.ts";
import { statsJson } from "../stats/stats-json.ts";
import { statsPrometheus } from "../stats/stats-prometheus.ts";
import type { StatsSnapshot } from "../stats/stats-snapshot.ts";
import { type BucketMode, type Intervals, statsText } from "../stats/stats-text.ts";
import { escapeHtml, htmlPage } from "./home-page.ts";

/** Longer expressions are refused before they are compiled. */
const maxFilterLength = 4096;

const formats = ["html", "active-html", "json", "prometheus", "text"] as const;

const kinds: Readonly<Record<string, ReadonlySet<StatKind>>> = {
  All: allKinds,
  Counters: new Set(["counter"]),
  Gauges: new Set(["gauge"]),
  Histograms: new Set(["histogram"]),
  TextReadouts: new Set(["text"]),
};

const modes: Readonly<Record<string, BucketMode>> = {
  none: "summary",
  summary: "summary",
  cumulative: "cumulative",
  disjoint: "disjoint",
  detailed: "detailed",
};

/** `/stats`, in all formats. */
export function statsPage(query: URLSearchParams, snapshot: StatsSnapshot, intervals: Intervals): Page {
  const format = formats.find((name) => name === (query.get("format") ?? "text"));
  if (!format) return bad(`usage: /stats?format=(${formats.join("|")})\n\n`);
  if (format === "prometheus") return prometheusPage(query, snapshot);
  const buckets = query.get("histogram_buckets") || "none";
  const mode = Object.hasOwn(modes, buckets) ? modes[buckets] : undefined;
  if (!mode) return bad("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n");
  const selection = readSelection(query);
  if ("body" in selection) return selection;
  const stats = selectStats(snapshot, selection);
  if (format === "json") return { type: "application/json", body: statsJson(stats, mode, intervals) };
  const text = statsText(stats, mode, intervals);
  return format === "text" ? { body: text } : htmlPage(`<pre>\n${escapeHtml(text)}</pre>\n`);
}

/** `/stats/prometheus`: buckets are cumulative, and quantiles where they are asked for. */
export function prometheusPage(query: URLSearchParams, snapshot: StatsSnapshot): Page {
  const buckets = query.get("histogram_buckets") || "cumulative";
  if (buckets !== "cumulative" && buckets !== "summary" && buckets !== "none")
    return bad("unsupported prometheus histogram bucket mode, use cumulative or summary\n");
  const selection = readSelection(query);
  if ("body" in selection) return selection;
  const all = selectStats(snapshot, selection);
  const isShown = ({ kind }: Stat) => kind !== "text" || query.has("text_readouts");
  return { body: statsPrometheus(all.filter(isShown), buckets === "summary" ? "summary" : "cumulative") };
}

function readSelection(query: URLSearchParams): StatSelection | Page {
  const kind = query.get("type") || "All";
  const wanted = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!wanted) return bad("invalid &type= param");
  const matches = readFilter(query.get("filter") ?? "", query.has("invert_filter"));
  return typeof matches === "function"
    ? { usedOnly: query.has("usedonly"), kinds: wanted, matches }
    : matches;
}

function readFilter(source: string, isInverted: boolean): StatSelection["matches"] | Page {
  if (source === "") return () => true;
  const compiled = compileFilter(source);
  return compiled instanceof RE2JS ? (name) => compiled.matcher(name).find() !== isInverted : compiled;
}

/** An expression in linear time, or the page that says what is wrong with it. */
export function compileFilter(source: string): RE2JS | Page {
  if (source.length > maxFilterLength)
    return bad(`Invalid re2 regex: longer than ${maxFilterLength} characters`);
  try {
    return RE2JS.compile(source);
  } catch (error) {
    return bad(`Invalid re2 regex: ${errorText(error)}`);
  }
}

function bad(body: string): Page {
  return { status: 400, body };
}
