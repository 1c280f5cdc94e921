import type { HeaderPair, LogLevelName } from "./test-file.ts";

/** One direction of a stream behind the plugin. */
export interface MessageOutcome {
  readonly action: "continue" | "pause";
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
  readonly trailers: readonly HeaderPair[];
}

/** A response that the plugin made itself. */
export interface LocalOutcome {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
  readonly details: string;
}

/** A call that the plugin made. */
export interface CallOutcome {
  readonly upstream: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
}

export interface LogOutcome {
  readonly level: LogLevelName;
  readonly message: string;
}

/** What came of one case. */
export interface CaseOutcome {
  readonly start: "ok" | "failed";
  readonly request?: MessageOutcome;
  readonly response?: MessageOutcome;
  readonly local?: LocalOutcome;
  readonly calls: readonly CallOutcome[];
  readonly logs: readonly LogOutcome[];
  /** Counters and gauges by name; of a histogram the count of its values. */
  readonly metrics: ReadonlyMap<string, number>;
  /** A property as the next plugin would find it. Numbers and other values that are no text as hexadecimal bytes. */
  property(name: string): string | undefined;
  /** Why the plugin did not start or did not end well. */
  readonly failure?: string;
}
