import type { LocalResponse } from "./context.ts";
import type { FilterChain } from "./filter-chain.ts";
import type { HeaderLine, HeaderMap } from "./header-map.ts";
import type { FilterCallbacks, FilterFactory, HttpFilter } from "./http-filter.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Direction } from "./stream-host.ts";
import type { PropertyView } from "./stream-properties.ts";

/** A filter in its chain: what it can do there. */
export class ChainLink implements FilterCallbacks {
  readonly filter: HttpFilter;
  private readonly chain: FilterChain;

  constructor(chain: FilterChain, factory: FilterFactory) {
    this.chain = chain;
    this.filter = factory.createFilter(this);
  }

  get state(): Map<string, Uint8Array> {
    return this.chain.state;
  }

  resume(direction: Direction): void {
    this.chain[direction].resume(this.filter);
  }

  isStopped(direction: Direction): boolean {
    return this.chain[direction].isStopped(this.filter);
  }

  sendLocalResponse(response: LocalResponse): void {
    this.chain.sendLocalResponse(response);
  }

  close(details: string): void {
    this.chain.close(details);
  }

  addTrailers(direction: Direction): HeaderMap {
    return this.chain[direction].addTrailers();
  }

  injectResponseBody(bytes: Uint8Array, endOfStream: boolean): void {
    this.chain.response.inject(this.filter, bytes, endOfStream);
  }

  setBufferLimit(direction: Direction, bytes: number): void {
    this.chain[direction].limitBytes = bytes;
  }

  clearRouteCache(): void {
    this.chain.host.clearRouteCache();
  }

  headers(direction: Direction): HeaderMap | undefined {
    return this.chain[direction].headers;
  }

  trailers(direction: Direction): HeaderMap | undefined {
    return this.chain[direction].trailers;
  }

  property(path: readonly string[], view: PropertyView): PropertyValue | undefined {
    return this.chain.property(path, view);
  }

  upstreamHosts(): readonly HeaderLine[] | undefined {
    return this.chain.host.upstreamHosts?.();
  }

  overrideUpstreamHost(address: string): boolean {
    return this.chain.host.overrideUpstreamHost?.(address) ?? false;
  }
}
