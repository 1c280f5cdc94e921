import type { Line } from "./case-file.ts";

/** Headers, body and trailers as somebody received them. */
export interface Received {
  readonly headers: readonly Line[];
  readonly body: string;
  readonly trailers: readonly Line[];
}

/** What became of one stream. */
export interface StreamResult {
  /** What reached the upstream; left out: nothing did. */
  readonly request?: Received;
  /** What reached the client; left out: the stream was cut. */
  readonly response?: Received;
  /** The proxy answered, and not the upstream. */
  readonly local: boolean;
  /** Why the stream ended, as the proxy names it (`%RESPONSE_CODE_DETAILS%`). */
  readonly details: string;
  /** The response ended before it was whole. */
  readonly cut?: boolean;
  /** The stream took the route that asks for the header `x-other: 1`. */
  readonly rerouted?: boolean;
}

/** A call that the guest made, as its upstream saw it. */
export interface CallResult extends Received {
  readonly upstream: string;
}

export interface LogResult {
  readonly level: string;
  readonly message: string;
}

/** What a case did, in a form that every host of plugins can give. */
export interface CaseResult {
  readonly start: "ok" | "failed";
  readonly streams: readonly StreamResult[];
  readonly calls: readonly CallResult[];
  /** The guest's lines from its start on. */
  readonly logs: readonly LogResult[];
  /** Counters and gauges of the guest by name, and their values. */
  readonly metrics: Readonly<Record<string, number>>;
  /** The guest ended by a trap. */
  readonly trapped: boolean;
}
