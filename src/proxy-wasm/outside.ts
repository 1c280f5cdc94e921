import type { LogLevel } from "./abi.ts";
import type { HeaderLine } from "./header-map.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Stores } from "./stores.ts";

// The host knows no network and no clock: whoever runs it brings them.

/** One line of a plugin's log, or of the host about a plugin. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly message: string;
  /** True for what the host says of the plugin; else the plugin wrote it. */
  readonly ofHost: boolean;
  /** The plugin was only tried when this was written, in a Vm that is gone by now. */
  readonly ofCanary?: true;
  readonly plugin: string;
  readonly rootId: string;
  readonly vmId: string;
  /** The context that wrote it; 0 for the Vm's start and for the host. */
  readonly contextId: number;
}

/** An HTTP request that a plugin makes. Header names are lower-case, `:method`, `:path` and `:authority` among them. */
export interface HttpCall {
  readonly upstream: string;
  readonly headers: readonly HeaderLine[];
  readonly body: Uint8Array;
  readonly trailers: readonly HeaderLine[];
  /** Undefined: none. */
  readonly timeoutMs: number | undefined;
}

/** What came back: headers with `:status`. */
export interface HttpAnswer {
  readonly headers: readonly HeaderLine[];
  readonly body: Uint8Array;
  readonly trailers: readonly HeaderLine[];
}

/** A gRPC method that a plugin calls. `upstream` is a cluster's name or a serialized `envoy.config.core.v3.GrpcService`. */
export interface GrpcMethod {
  readonly upstream: Uint8Array;
  readonly service: string;
  readonly method: string;
  readonly metadata: readonly HeaderLine[];
}

export interface GrpcCall extends GrpcMethod {
  readonly message: Uint8Array;
  readonly timeoutMs: number | undefined;
}

/** Where a gRPC call's events go. After `close` nothing comes. */
export interface GrpcEvents {
  initialMetadata(lines: readonly HeaderLine[]): void;
  message(bytes: Uint8Array): void;
  trailingMetadata(lines: readonly HeaderLine[]): void;
  close(status: number, text: string): void;
}

export interface GrpcStream {
  send(message: Uint8Array, endOfStream: boolean): void;
  /** Ends the sending side. */
  close(): void;
  cancel(): void;
}

export interface RedisUpstream {
  readonly upstream: string;
  readonly username: string;
  readonly password: string;
  readonly timeoutMs: number;
}

/** Stops what was started; nothing comes of it any more. */
export type Cancel = () => void;

/** Why a call did not even begin. */
export type CallRefusal = "unknown-upstream" | "failed";

/**
 * What plugins reach beyond their stream. No function calls back before it has returned: answers come later, in the
 * same thread.
 */
export interface Outside {
  readonly stores: Stores;
  /** What is known without a stream, by Envoy's names: `["xds", "node", "id"]`. */
  property?(path: readonly string[]): PropertyValue | undefined;
  /** Nanoseconds since 1970. */
  now(): bigint;
  /** Nanoseconds of a clock that never goes back. */
  monotonicNow(): bigint;
  setTimer(ms: number, fire: () => void): Cancel;
  /** What plugins may write to the log, at the least. */
  logLevel(): LogLevel;
  log(record: LogRecord): void;
  /** A plugin that was serving has lost its Vm. */
  pluginLost?(plugin: string, reason: string): void;
  /**
   * As Envoy's router, an upstream that cannot be reached answers 503 and one that takes too long 504, with the reason as
   * body. Undefined stands for a call that was given up without any answer.
   */
  httpCall(call: HttpCall, done: (answer: HttpAnswer | undefined) => void): Cancel | CallRefusal;
  grpcCall(call: GrpcCall, events: GrpcEvents): Cancel | CallRefusal;
  grpcStream(method: GrpcMethod, events: GrpcEvents): GrpcStream | CallRefusal;
  /** False: there is no such upstream. */
  redisInit(upstream: RedisUpstream): boolean;
  /** The query and the answer are in Redis' own protocol; undefined stands for a call that failed. */
  redisCall(
    upstream: string,
    query: Uint8Array,
    done: (answer: Uint8Array | undefined) => void,
  ): Cancel | CallRefusal;
  /** The addresses of a name with their time to live; none if it cannot be resolved. */
  resolveDns(
    name: string,
    done: (addresses: readonly { address: string; ttlSeconds: number }[]) => void,
  ): Cancel;
}
