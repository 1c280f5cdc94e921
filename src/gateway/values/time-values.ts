import type { HttpStream } from "../http-stream.ts";
import { formatLocalTime, formatTime } from "../time-format.ts";
import { milliseconds, type Readers } from "./reader.ts";

/** When things happened, and how long they took: in whole milliseconds. */
export const timeValues: Readers = {
  START_TIME: ({ startedAt }, { argument }) => formatTime(startedAt, argument),
  START_TIME_LOCAL: ({ startedAt }, { argument }) => formatLocalTime(startedAt, argument),
  EMIT_TIME: (_, { argument }) => formatTime(Date.now(), argument),
  DURATION: ({ endMs }) => milliseconds(endMs),
  REQUEST_DURATION: ({ requestEndMs }) => milliseconds(requestEndMs),
  REQUEST_TX_DURATION: (stream) => milliseconds(points.US_TX_END!(stream)),
  RESPONSE_DURATION: ({ upstreamFirstMs }) => milliseconds(upstreamFirstMs),
  RESPONSE_TX_DURATION: ({ upstreamFirstMs, downstreamLastMs }) => between(upstreamFirstMs, downstreamLastMs),
  COMMON_DURATION: (stream, { argument = "" }) => {
    const [from = "", to = "", unit = "ms"] = argument.split(":");
    const [begin, end] = [points[from]?.(stream), points[to]?.(stream)];
    if (begin === undefined || end === undefined) return undefined;
    return Math.floor((end - begin) * (perMs[unit] ?? 1));
  },
};

const perMs: Readonly<Record<string, number>> = { ms: 1, us: 1000, ns: 1_000_000 };

/** Envoy's points in the life of a stream, as far as they are known; milliseconds since its start. */
const points: Readonly<Record<string, (stream: HttpStream) => number | undefined>> = {
  DS_RX_BEG: () => 0,
  DS_RX_END: ({ requestEndMs }) => requestEndMs,
  US_TX_BEG: ({ forwarding }) => (forwarding?.connection ? 0 : undefined),
  US_TX_END: ({ forwarding, requestEndMs }) => (forwarding?.connection ? requestEndMs : undefined),
  US_RX_BEG: ({ upstreamFirstMs }) => upstreamFirstMs,
  US_RX_END: ({ upstreamLastMs }) => upstreamLastMs,
  DS_TX_BEG: ({ downstreamFirstMs }) => downstreamFirstMs,
  DS_TX_END: ({ downstreamLastMs }) => downstreamLastMs,
};

function between(begin: number | undefined, end: number | undefined): number | undefined {
  return begin === undefined || end === undefined ? undefined : milliseconds(end - begin);
}
