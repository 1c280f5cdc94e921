import type { FormatValues } from "./format.ts";
import type { HttpStream } from "./http-stream.ts";
import { downstreamValues } from "./values/downstream-values.ts";
import { headerValues } from "./values/header-values.ts";
import type { ComingResponse, Readers } from "./values/reader.ts";
import { responseValues } from "./values/response-values.ts";
import { timeValues } from "./values/time-values.ts";
import { upstreamValues } from "./values/upstream-values.ts";

const readers: Readers = {
  ...headerValues,
  ...timeValues,
  ...responseValues,
  ...upstreamValues,
  ...downstreamValues,
};

/** What format strings ask a stream, in access logs and in headers that routes add. */
export function valuesOf(stream: HttpStream, coming?: ComingResponse): FormatValues {
  return (operator) => readers[operator.name]?.(stream, operator, coming);
}
