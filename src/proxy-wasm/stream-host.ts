import type { LocalResponse } from "./context.ts";
import type { HeaderLine, HeaderMap } from "./header-map.ts";
import type { PropertyValue } from "./property-values.ts";

/** Which way something goes: a request upstream, a response downstream. */
export type Direction = "request" | "response";

/**
 * Who carries a stream: a gateway, or a test. What leaves the filter chain comes to it, in order, and within the call that
 * brought it in or by which a plugin went on. Header maps and bodies are its own then.
 */
export interface StreamHost {
  sendHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): void;
  sendData(direction: Direction, bytes: Uint8Array, endOfStream: boolean): void;
  sendTrailers(direction: Direction, trailers: HeaderMap): void;
  /** The stream is over without a response, or without the rest of one; the chain's `details` says why. */
  reset(): void;
  /** Changes a reply that a filter or the chain itself gives, before filters see it. */
  editReply?(reply: LocalResponse): LocalResponse;
  /** A plugin holds more than the limit: no more of this direction is wanted (true), or it is again (false). */
  setPaused(direction: Direction, paused: boolean): void;
  /** The request's headers have changed in a way that may lead to another route. */
  clearRouteCache(): void;
  /**
   * What it knows of the stream, by Envoy's names: `["xds", "route_name"]`, `["source", "address"]`. It is asked before the
   * chain looks into the headers, so it may answer `["request", …]` too.
   */
  property(path: readonly string[]): PropertyValue | undefined;
  /** Higress: the hosts that the stream may go to, each with what is known of it as JSON. */
  upstreamHosts?(): readonly HeaderLine[];
  /** Higress: the stream goes to this host and no other. False if that is not possible. */
  overrideUpstreamHost?(address: string): boolean;
}
