import type { Action, BodyAction, HeadersAction } from "./abi.ts";
import type { Body } from "./body.ts";
import type { LocalResponse } from "./context.ts";
import type { HeaderLine, HeaderMap } from "./header-map.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Direction } from "./stream-host.ts";
import type { PropertyView } from "./stream-properties.ts";

/** A link of a filter chain, for one stream. Plugins' contexts are such; a gateway may have others of its own. */
export interface HttpFilter {
  onHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): HeadersAction;
  /** The body is what is to be passed on; it may be changed in place. */
  onData(direction: Direction, body: Body, endOfStream: boolean): BodyAction;
  onTrailers(direction: Direction, trailers: HeaderMap): Action;
  /** The stream is over; its headers can be read still. */
  onLog?(): void;
  onDestroy?(): void;
}

/** What a filter can do to its stream. Within a callback of the stream's filters it takes effect after that. */
export interface FilterCallbacks {
  /** Goes on where this filter has stopped. */
  resume(direction: Direction): void;
  isStopped(direction: Direction): boolean;
  sendLocalResponse(response: LocalResponse): void;
  /** Ends the stream without a response, or in the middle of one. */
  close(details: string): void;
  /** Trailers for a direction that has none, while the last of its body is in this filter. */
  addTrailers(direction: Direction): HeaderMap;
  /** Sends a part of the response's body on to the next filters. */
  injectResponseBody(bytes: Uint8Array, endOfStream: boolean): void;
  setBufferLimit(direction: Direction, bytes: number): void;
  clearRouteCache(): void;
  /** As they are now, whatever the phase. */
  headers(direction: Direction): HeaderMap | undefined;
  trailers(direction: Direction): HeaderMap | undefined;
  /** What is known of the stream; of its headers, what the view has. */
  property(path: readonly string[], view: PropertyView): PropertyValue | undefined;
  /** What plugins have set for each other, `wasm.` before the name, and what they have set for others. */
  readonly state: Map<string, Uint8Array>;
  upstreamHosts(): readonly HeaderLine[] | undefined;
  overrideUpstreamHost(address: string): boolean;
}

/** Makes a filter for a stream that begins. */
export interface FilterFactory {
  createFilter(callbacks: FilterCallbacks): HttpFilter;
}
