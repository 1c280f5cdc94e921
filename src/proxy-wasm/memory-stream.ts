import { FilterChain, type FilterChainOptions } from "./filter-chain.ts";
import { type HeaderLine, HeaderMap } from "./header-map.ts";
import type { FilterFactory } from "./http-filter.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Direction, StreamHost } from "./stream-host.ts";

/** A request or a response. A body in several parts arrives in those parts. */
export interface Message {
  readonly headers: readonly HeaderLine[];
  readonly body?: string | Uint8Array | readonly (string | Uint8Array)[];
  readonly trailers?: readonly HeaderLine[];
}

/** A request or a response as it came out of the filters. */
export interface SentMessage {
  readonly headers: readonly HeaderLine[];
  body: Buffer;
  trailers: readonly HeaderLine[] | undefined;
  /** All of it has come. */
  complete: boolean;
}

export interface MemoryStreamOptions extends FilterChainOptions {
  /** By Envoy's names with dots between their parts: `xds.route_name`. */
  readonly properties?: Readonly<Record<string, PropertyValue>>;
  readonly upstreamHosts?: readonly HeaderLine[];
}

/** A stream that is nowhere but in memory: what goes in and what comes out are values. It is to be ended. */
export class MemoryStream implements StreamHost {
  readonly chain: FilterChain;
  /** What the upstream got so far. */
  request: SentMessage | undefined;
  /** What the client got so far. */
  response: SentMessage | undefined;
  isReset = false;
  /** The directions whose source is asked to wait. */
  readonly paused = new Set<Direction>();
  routeCacheCleared = 0;
  upstreamHost: string | undefined;
  /** Settles when the upstream has the whole request, or never will. */
  readonly requestEnded: Promise<void>;
  /** Settles when the client has the whole response, or never will. */
  readonly ended: Promise<void>;
  private readonly options: MemoryStreamOptions;
  private settle!: Record<Direction, () => void>;

  constructor(filters: readonly FilterFactory[], options: MemoryStreamOptions = {}) {
    this.options = options;
    const settle: Partial<Record<Direction, () => void>> = {};
    this.requestEnded = new Promise((resolve) => {
      settle.request = resolve;
    });
    this.ended = new Promise((resolve) => {
      settle.response = resolve;
    });
    this.settle = settle as Record<Direction, () => void>;
    this.chain = new FilterChain(filters, this, options);
  }

  /** Of the local response, or of the reset. */
  get details(): string | undefined {
    return this.chain.details;
  }

  sendRequest(message: Message): void {
    const { headers, parts, trailers } = partsOf(message);
    this.chain.requestHeaders(headers, parts.length === 0 && !trailers);
    for (const [i, part] of parts.entries())
      this.chain.requestData(part, i === parts.length - 1 && !trailers);
    if (trailers) this.chain.requestTrailers(trailers);
  }

  sendResponse(message: Message): void {
    const { headers, parts, trailers } = partsOf(message);
    this.chain.responseHeaders(headers, parts.length === 0 && !trailers);
    for (const [i, part] of parts.entries())
      this.chain.responseData(part, i === parts.length - 1 && !trailers);
    if (trailers) this.chain.responseTrailers(trailers);
  }

  end(): void {
    this.chain.end();
    this.settle.request();
    this.settle.response();
  }

  // What the filter chain calls:

  sendHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): void {
    this[direction] = { headers: headers.lines, body: Buffer.alloc(0), trailers: undefined, complete: false };
    if (endOfStream) this.complete(direction);
  }

  sendData(direction: Direction, bytes: Uint8Array, endOfStream: boolean): void {
    const message = this[direction]!;
    message.body = Buffer.concat([message.body, bytes]);
    if (endOfStream) this.complete(direction);
  }

  sendTrailers(direction: Direction, trailers: HeaderMap): void {
    this[direction]!.trailers = trailers.lines;
    this.complete(direction);
  }

  reset(): void {
    this.isReset = true;
    this.settle.request();
    this.settle.response();
  }

  setPaused(direction: Direction, paused: boolean): void {
    if (paused) this.paused.add(direction);
    else this.paused.delete(direction);
  }

  clearRouteCache(): void {
    this.routeCacheCleared++;
  }

  property(path: readonly string[]): PropertyValue | undefined {
    return this.options.properties?.[path.join(".")];
  }

  upstreamHosts(): readonly HeaderLine[] {
    return this.options.upstreamHosts ?? [];
  }

  overrideUpstreamHost(address: string): boolean {
    this.upstreamHost = address;
    return true;
  }

  private complete(direction: Direction): void {
    this[direction]!.complete = true;
    this.settle[direction]();
  }
}

function partsOf({ headers, body = [], trailers }: Message) {
  const list = typeof body === "string" || body instanceof Uint8Array ? [body] : body;
  return {
    headers: HeaderMap.from(headers),
    parts: list.map((part) => (typeof part === "string" ? Buffer.from(part) : part)),
    trailers: trailers && HeaderMap.from(trailers),
  };
}

/** What came of a request. */
export interface Outcome {
  /** As the upstream got it; undefined if it did not. */
  readonly request: SentMessage | undefined;
  /** As the client got it. */
  readonly response: SentMessage | undefined;
  /** Of a local response, or of a reset. */
  readonly details: string | undefined;
  readonly isReset: boolean;
}

export interface ExchangeOptions extends MemoryStreamOptions {
  /** What the upstream answers; 200 without a body if it is left out. */
  readonly answer?: (request: SentMessage) => Message;
  /** Ends a stream that a plugin does not let go on. */
  readonly signal?: AbortSignal;
}

const emptyAnswer: Message = { headers: [[":status", "200"]] };

/** Sends a request through filters to an upstream and its answer back, and ends the stream. */
export async function exchange(
  filters: readonly FilterFactory[],
  request: Message,
  { answer = () => emptyAnswer, signal, ...options }: ExchangeOptions = {},
): Promise<Outcome> {
  const stream = new MemoryStream(filters, options);
  const end = () => stream.end();
  signal?.addEventListener("abort", end, { once: true });
  stream.sendRequest(request);
  await Promise.race([stream.requestEnded, stream.ended]);
  if (stream.request?.complete) stream.sendResponse(answer(stream.request));
  await stream.ended;
  signal?.removeEventListener("abort", end);
  stream.end();
  return {
    request: stream.request,
    response: stream.response,
    details: stream.details,
    isReset: stream.isReset,
  };
}
