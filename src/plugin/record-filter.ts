import type {
  Direction,
  FilterCallbacks,
  FilterFactory,
  HeaderMap,
  HttpFilter,
  LocalResponse,
} from "../proxy-wasm/index.ts";
import { headerPairs } from "./case-text.ts";
import type { LocalOutcome } from "./outcome.ts";

/** What a filter answered, and what it sent in place of the upstream. */
export interface FilterRecord {
  /** Of the last callback of a direction that was called. */
  readonly actions: Map<Direction, "continue" | "pause">;
  /** Headers in the filter's hands, or as it left them. */
  readonly headers: Map<Direction, HeaderMap>;
  local: LocalOutcome | undefined;
}

/** The same filters, with what they do written down. */
export function recordFilter(factory: FilterFactory, record: FilterRecord): FilterFactory {
  return {
    createFilter(callbacks) {
      const filter = factory.createFilter(recordReplies(callbacks, record));
      return recordActions(filter, record);
    },
  };
}

function recordReplies(callbacks: FilterCallbacks, record: FilterRecord): FilterCallbacks {
  const sendLocalResponse = (response: LocalResponse) => {
    // As Envoy: the first of several is sent, under the last one's name.
    record.local = { ...(record.local ?? localOutcome(response)), details: response.details };
    callbacks.sendLocalResponse(response);
  };
  return Object.create(callbacks, { sendLocalResponse: { value: sendLocalResponse } }) as FilterCallbacks;
}

function localOutcome({ status, headers, body, details }: LocalResponse): LocalOutcome {
  return { status, headers: headerPairs(headers), body, details };
}

function recordActions(filter: HttpFilter, { actions, headers: maps }: FilterRecord): HttpFilter {
  const noted = <T extends number>(direction: Direction, action: T): T => {
    actions.set(direction, action === 0 ? "continue" : "pause");
    return action;
  };
  return {
    onHeaders(direction, headers, endOfStream) {
      maps.set(direction, headers);
      return noted(direction, filter.onHeaders(direction, headers, endOfStream));
    },
    onData: (direction, ...more) => noted(direction, filter.onData(direction, ...more)),
    onTrailers: (direction, ...more) => noted(direction, filter.onTrailers(direction, ...more)),
    onLog: () => filter.onLog?.(),
    onDestroy: () => filter.onDestroy?.(),
  };
}
