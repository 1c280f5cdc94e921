import {
  proxy_add_header_map_value,
  proxy_remove_header_map_value,
  proxy_replace_header_map_value,
} from "./abi";
import { MapType, Status } from "./enums";
import { fetchHeader, readLines, replaceLines } from "./header-bytes";
import { decodePairs, decodeValues, encodePairs } from "./pairs";
import { firstArgument, secondArgument, takeText } from "./text";

/** One header line. */
export class Header {
  constructor(
    public name: string,
    public value: string,
  ) {}
}

/** Headers or trailers of the current stream. The proxy writes names in lower case. */
export class HeaderMap {
  constructor(readonly type: MapType) {}

  /** First value of a header; null when it is absent, or when the map does not exist in this phase. */
  get(name: string): string | null {
    return fetchHeader(this.type, name) ? takeText() : null;
  }

  /** All values of a header, whose name is in lower case. */
  values(name: string): string[] {
    const first = this.get(name);
    if (first === null) return [];
    const key = firstArgument.put(name);
    const values = decodeValues(readLines(this.type), key, firstArgument.size);
    // `host` is not among the lines of a map that has `:authority`.
    return values.length > 0 ? values : [first];
  }

  /** Sets the only value of a header. */
  set(name: string, value: string): bool {
    const key = firstArgument.put(name);
    const text = secondArgument.put(value);
    return (
      proxy_replace_header_map_value(this.type, key, firstArgument.size, text, secondArgument.size) ==
      Status.Ok
    );
  }

  /** Adds a value beside those that are there. */
  add(name: string, value: string): bool {
    const key = firstArgument.put(name);
    const text = secondArgument.put(value);
    return (
      proxy_add_header_map_value(this.type, key, firstArgument.size, text, secondArgument.size) == Status.Ok
    );
  }

  /** Removes every value of a header. */
  remove(name: string): bool {
    const key = firstArgument.put(name);
    return proxy_remove_header_map_value(this.type, key, firstArgument.size) == Status.Ok;
  }

  /** All header lines in the proxy's order; empty when the map does not exist in this phase. */
  list(): Header[] {
    return decodePairs(readLines(this.type));
  }

  /** Puts these lines in the place of all that are there. */
  replaceAll(headers: Header[]): bool {
    const pairs = encodePairs(headers);
    return replaceLines(this.type, changetype<usize>(pairs), pairs.byteLength);
  }
}

/** Headers of the current request, `:method`, `:path` and `:authority` among them. */
export const requestHeaders = new HeaderMap(MapType.RequestHeaders);
/** Trailers of the current request. */
export const requestTrailers = new HeaderMap(MapType.RequestTrailers);
/** Headers of the current response, `:status` among them. */
export const responseHeaders = new HeaderMap(MapType.ResponseHeaders);
/** Trailers of the current response. */
export const responseTrailers = new HeaderMap(MapType.ResponseTrailers);
