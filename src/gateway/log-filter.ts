import {
  type AccessLogFilter,
  type ComparisonFilter,
  ComparisonFilter_Op as Op,
} from "../gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import { isDrawn } from "./filters/percent.ts";
import { compileHeaderMatcher } from "./header-match.ts";
import type { HttpStream } from "./http-stream.ts";
import { refuse, within, withinEach } from "./refused-config.ts";
import { grpcStatusOfResponse } from "./values/response-values.ts";

/** Whether a stream is to be logged. */
export type LogTest = (stream: HttpStream) => boolean;

/** Compiles the filter of an access log. Throws RefusedConfig. */
export function compileLogFilter({ filterSpecifier: by }: AccessLogFilter): LogTest {
  switch (by.case) {
    case "statusCodeFilter":
      return comparing(by.value.comparison, statusOf);
    case "durationFilter":
      return comparing(by.value.comparison, ({ endMs }) => Math.floor(endMs ?? 0));
    case "notHealthCheckFilter":
      // Nothing here tells a health check from other requests.
      return () => true;
    case "runtimeFilter":
      return ofShare(by.value.percentSampled);
    case "andFilter":
      return every(withinEach("and_filter.filters", by.value.filters, compileLogFilter));
    case "orFilter":
      return some(withinEach("or_filter.filters", by.value.filters, compileLogFilter));
    case "headerFilter": {
      const { header } = by.value;
      if (!header) return refuse("header_filter.header", "is required");
      const test = within("header_filter.header", () => compileHeaderMatcher(header));
      return ({ chain }) => chain.request.headers !== undefined && test(chain.request.headers);
    }
    case "responseFlagFilter": {
      const wanted = new Set(by.value.flags);
      return ({ flags }) => (wanted.size === 0 ? flags.length > 0 : flags.some((flag) => wanted.has(flag)));
    }
    case "grpcStatusFilter": {
      const statuses = new Set<number>(by.value.statuses);
      const { exclude } = by.value;
      // As Envoy: whatever was asked for.
      return (stream) => statuses.has(grpcStatusOfResponse(stream)) !== exclude;
    }
    default:
      return refuse(
        "filter_specifier",
        by.case === undefined ? "is required" : `${by.case} is not supported`,
      );
  }
}

function statusOf({ chain }: HttpStream): number {
  return Number(chain.response.headers?.get(":status") ?? 0);
}

function comparing(
  comparison: ComparisonFilter | undefined,
  numberOf: (stream: HttpStream) => number,
): LogTest {
  if (!comparison) return refuse("comparison", "is required");
  const wanted = comparison.value?.defaultValue ?? 0;
  const compare = comparisons[comparison.op];
  if (!compare) return refuse("comparison.op", `${comparison.op} is not supported`);
  return (stream) => compare(numberOf(stream), wanted);
}

const comparisons: Readonly<Partial<Record<number, (a: number, b: number) => boolean>>> = {
  [Op.EQ]: (a, b) => a === b,
  [Op.GE]: (a, b) => a >= b,
  [Op.LE]: (a, b) => a <= b,
  // Newer than the proto: NE.
  3: (a, b) => a !== b,
};

function ofShare(percent: Parameters<typeof isDrawn>[0]): LogTest {
  return () => isDrawn(percent);
}

const every =
  (tests: readonly LogTest[]): LogTest =>
  (stream) =>
    tests.every((test) => test(stream));
const some =
  (tests: readonly LogTest[]): LogTest =>
  (stream) =>
    tests.some((test) => test(stream));
