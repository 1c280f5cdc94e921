import type { Body } from "./body.ts";
import { ChainLink } from "./chain-link.ts";
import type { LocalResponse } from "./context.ts";
import { findHeaderFault } from "./header-faults.ts";
import type { HeaderMap } from "./header-map.ts";
import type { FilterFactory, HttpFilter } from "./http-filter.ts";
import { Iteration, type IterationOwner } from "./iteration.ts";
import { type Asker, askerOf, buildReply } from "./local-reply.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Direction, StreamHost } from "./stream-host.ts";
import { findStreamProperty, type PropertyView } from "./stream-properties.ts";

export interface FilterChainOptions {
  /** What a filter may hold of a body before the stream fails; 1 MiB if it is left out. */
  readonly bufferLimitBytes?: number;
}

const defaultLimitBytes = 1024 * 1024;
const overflow: Readonly<Record<Direction, LocalResponse>> = {
  request: plainResponse(413, "Payload Too Large", "request_payload_too_large"),
  response: plainResponse(500, "Internal Server Error", "response_payload_too_large"),
};

/**
 * The filters of one stream. Who carries the stream feeds it from both ends, and gets back what the filters let through:
 * requests pass them in order, responses in reverse order. It ends with `end`, always.
 */
export class FilterChain implements IterationOwner {
  /** What plugins have set for each other, and for others. */
  readonly state = new Map<string, Uint8Array>();
  readonly host: StreamHost;
  readonly request: Iteration;
  readonly response: Iteration;
  /** What came out of the filters so far, in bytes. */
  readonly bodyBytes = { request: 0, response: 0 };
  /** By the request as it came: what filters and routes make of it changes no form of answers. */
  asker: Asker | undefined;
  /** Why a local response was sent, or the stream reset. */
  details: string | undefined;
  private readonly filters: readonly HttpFilter[];
  private lastDetails: string | undefined;
  private responseSent = false;
  /** What a filter injects may end a body before it ends by itself. */
  private readonly ended = { request: false, response: false };
  private callbacks = 0;
  private pending: (() => void) | undefined;
  private over = false;

  constructor(factories: readonly FilterFactory[], host: StreamHost, options: FilterChainOptions = {}) {
    const limitBytes = options.bufferLimitBytes ?? defaultLimitBytes;
    this.host = host;
    this.filters = factories.map((factory) => new ChainLink(this, factory).filter);
    this.request = new Iteration("request", this.filters, this, limitBytes);
    this.response = new Iteration("response", this.filters.toReversed(), this, limitBytes);
  }

  /** The request's headers, from downstream. */
  requestHeaders(headers: HeaderMap, endOfStream: boolean): void {
    this.asker ??= askerOf(headers);
    this.request.start(headers, endOfStream);
  }

  requestData(bytes: Uint8Array, endOfStream: boolean): void {
    this.request.data(bytes, endOfStream);
  }

  requestTrailers(trailers: HeaderMap): void {
    this.request.end(trailers);
  }

  /** The response's headers, from upstream. What comes after a local response is dropped. */
  responseHeaders(headers: HeaderMap, endOfStream: boolean): void {
    if (this.details === undefined) this.response.start(headers, endOfStream);
  }

  responseData(bytes: Uint8Array, endOfStream: boolean): void {
    if (this.details === undefined) this.response.data(bytes, endOfStream);
  }

  responseTrailers(trailers: HeaderMap): void {
    if (this.details === undefined) this.response.end(trailers);
  }

  /**
   * Answers in place of the upstream. The response passes the filters as any does, unless one has already begun; when its
   * headers are gone, nothing is left but to reset the stream.
   */
  sendLocalResponse(response: LocalResponse): void {
    this.lastDetails = response.details;
    this.afterCallbacks(() => this.reply(response));
  }

  /** Ends the stream without a response, or in the middle of one. */
  reset(details: string): void {
    this.afterCallbacks(() => {
      this.details = details;
      this.cut();
    });
  }

  /** A filter ends the stream. As in Envoy a response that has begun is known by that. */
  close(details: string): void {
    this.afterCallbacks(() => {
      if (!this.response.headers) this.details ??= details;
      this.cut();
    });
  }

  /** The stream is over, for whatever reason: filters log it and are gone. */
  end(): void {
    if (this.callbacks > 0) {
      this.pending = () => this.end();
      return;
    }
    if (this.over) return;
    this.over = true;
    this.stop();
    for (const filter of this.filters) filter.onLog?.();
    for (const filter of this.filters) filter.onDestroy?.();
  }

  property(path: readonly string[], view: PropertyView): PropertyValue | undefined {
    return findStreamProperty(path, view, this);
  }

  // Unlike Envoy: nothing goes to the upstream any more, even if the filter has continued the request in the same callback.
  private reply(response: LocalResponse): void {
    this.request.abort();
    // As Envoy: the first of several is sent, under the last one's name.
    this.details = this.lastDetails;
    if (this.responseSent) this.cut();
    else {
      const edited = this.host.editReply?.(response) ?? response;
      const { headers, body } = buildReply(edited, this.asker);
      if (this.response.headers) this.replyPastFilters(headers, body);
      else this.replyThroughFilters(headers, body);
    }
  }

  private replyThroughFilters(headers: HeaderMap, body: Uint8Array): void {
    this.response.start(headers, body.length === 0);
    if (body.length > 0) this.response.data(body, true);
  }

  /** A response was on its way through the filters: they are not asked about another one. */
  private replyPastFilters(headers: HeaderMap, body: Uint8Array): void {
    this.response.abort();
    this.response.headers = headers;
    this.responseSent = true;
    this.host.sendHeaders("response", headers, body.length === 0);
    if (body.length > 0) this.host.sendData("response", body, true);
  }

  private cut(): void {
    this.stop();
    this.host.reset();
  }

  private stop(): void {
    this.request.abort();
    this.response.abort();
  }

  private afterCallbacks(action: () => void): void {
    if (this.over) return;
    if (this.callbacks === 0) action();
    else this.pending ??= action;
  }

  // What the two directions reach:

  enter(): void {
    this.callbacks++;
  }

  leave(): void {
    this.callbacks--;
    const { pending } = this;
    if (pending === undefined || this.callbacks > 0) return;
    this.pending = undefined;
    pending();
  }

  sendHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): void {
    const fault = findHeaderFault(direction, headers);
    if (fault !== undefined) {
      this.refuseHeaders(direction, fault);
      return;
    }
    if (direction === "response") this.responseSent = true;
    this.host.sendHeaders(direction, headers, endOfStream);
  }

  /** Filters have left headers that nobody could send on. */
  private refuseHeaders(direction: Direction, fault: string): void {
    this[direction].abort();
    const details = `filter_removed_required_${direction}_headers{${fault.replace(/\s/g, "_")}}`;
    this.sendLocalResponse(plainResponse(direction === "request" ? 503 : 502, fault, details));
  }

  sendData(direction: Direction, body: Body, endOfStream: boolean): void {
    if (this.ended[direction]) return;
    this.ended[direction] = endOfStream;
    this.bodyBytes[direction] += body.length;
    this.host.sendData(direction, body.take(), endOfStream);
  }

  sendTrailers(direction: Direction, trailers: HeaderMap): void {
    if (!this.ended[direction]) this.host.sendTrailers(direction, trailers);
  }

  onOverflow(direction: Direction): void {
    this.sendLocalResponse(overflow[direction]);
  }

  setPaused(direction: Direction, paused: boolean): void {
    this.host.setPaused(direction, paused);
  }
}

function plainResponse(status: number, text: string, details: string): LocalResponse {
  return { status, headers: [], body: Buffer.from(text), grpcStatus: undefined, details };
}
