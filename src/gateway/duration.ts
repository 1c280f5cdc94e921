import type { Duration } from "@bufbuild/protobuf/wkt";

/** Milliseconds, or `byDefault` where there is no duration. */
export function durationMs<T>(duration: Duration | undefined, byDefault: T): number | T {
  return duration ? Number(duration.seconds) * 1000 + Math.floor(duration.nanos / 1_000_000) : byDefault;
}
