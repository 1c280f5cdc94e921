import type { FilterCallbacks, FilterFactory, HttpFilter } from "../../proxy-wasm/index.ts";
import type { HttpStream } from "../http-stream.ts";

/** A filter that is part of the gateway: it knows its stream, and by that the route. */
export interface NativeFilter {
  createFor(stream: HttpStream, callbacks: FilterCallbacks): HttpFilter;
}

export type StreamFilter = FilterFactory | NativeFilter;

/** The filters of one stream, ready for its chain. */
export function bindFilters(filters: readonly StreamFilter[], stream: HttpStream): FilterFactory[] {
  return filters.map((filter) =>
    "createFor" in filter ? { createFilter: (callbacks) => filter.createFor(stream, callbacks) } : filter,
  );
}
