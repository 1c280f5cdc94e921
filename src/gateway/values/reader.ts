import type { HeaderMap } from "../../proxy-wasm/header-map.ts";
import type { FormatOperator } from "../format.ts";
import type { HttpStream } from "../http-stream.ts";

/** A response that is about to pass the filters: not the stream's yet. */
export interface ComingResponse {
  readonly headers: HeaderMap;
  /** Of a reply of the gateway's own. */
  readonly details?: string;
}

/** What an operator of a format string says of a stream; undefined for nothing. */
export type Reader = (
  stream: HttpStream,
  operator: FormatOperator,
  coming: ComingResponse | undefined,
) => string | number | undefined;

export type Readers = Readonly<Record<string, Reader>>;

/** Whole milliseconds. */
export function milliseconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.floor(value);
}
