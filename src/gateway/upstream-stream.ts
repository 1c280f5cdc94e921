import type { HeaderMap } from "../proxy-wasm/header-map.ts";

/** Why a request to an upstream came to nothing, or to no end, in Envoy's words. */
export type ResetReason =
  | "connection termination"
  | "connection timeout"
  | "local reset"
  | "overflow"
  | "protocol error"
  | "remote connection failure"
  | "remote refused stream reset"
  | "remote reset";

export interface UpstreamReset {
  readonly reason: ResetReason;
  /** What the transport said, as in `delayed connect error: Connection refused`. */
  readonly transport: string | undefined;
  /** Nothing of the request has been sent. */
  readonly beforeSent: boolean;
}

/** What comes of a request to an upstream: headers first, `onReset` last, whenever it comes. */
export interface UpstreamEvents {
  /** The request has a connection. */
  onReady?(connection: UpstreamConnection): void;
  /** A response of 100 to 199 but 101. */
  onInformational?(headers: HeaderMap): void;
  onHeaders(headers: HeaderMap, endOfStream: boolean): void;
  /** The bytes are the receiver's own. */
  onData(bytes: Uint8Array, endOfStream: boolean): void;
  onTrailers(trailers: HeaderMap): void;
  /** What was written has left: more may come. */
  onDrain?(): void;
  onReset(reset: UpstreamReset): void;
}

/** What is known of a connection to an endpoint. */
export interface UpstreamConnection {
  readonly protocol: "http1" | "http2";
  /** `ip:port` of both ends. */
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly tlsVersion: string | undefined;
}

/** A request under way to an upstream. */
export interface UpstreamStream {
  /** The head of the request; once, and first. */
  sendHeaders(headers: HeaderMap, endOfStream: boolean): void;
  /** False: wait for `onDrain`. */
  sendData(bytes: Uint8Array, endOfStream: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  /** Stops reading, or goes on. */
  setPaused(paused: boolean): void;
  /** Nothing comes any more. */
  cancel(): void;
}

/** A connection to an endpoint that speaks HTTP/1 or HTTP/2: what the pool has streams begun on. */
export interface UpstreamCodec {
  readonly protocol: "http1" | "http2";
  /** How many more streams may begin now. */
  readonly room: number;
  /** Begins a stream. There must be room. */
  begin(events: UpstreamEvents): UpstreamStream;
  /** Closes when the last stream has ended; no more begin. */
  drain(): void;
}

/** What a connection tells its pool. */
export interface CodecOwner {
  /** Once for each stream, when it is over either way. */
  onStreamEnd(): void;
  /** There may be more room than before, or none any more. */
  onRoom(): void;
  /** Once, last: streams have ended before. */
  onClosed(end: ConnectionEnd): void;
}

/** How a connection ended. */
export interface ConnectionEnd {
  /** The upstream did it. */
  readonly isRemote: boolean;
  /** There were streams. */
  readonly wasBusy: boolean;
}
