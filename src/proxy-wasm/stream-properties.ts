import type { FilterChain } from "./filter-chain.ts";
import type { HeaderMap } from "./header-map.ts";
import { canonicalPath } from "./property-names.ts";
import type { PropertyValue } from "./property-values.ts";

/**
 * A property of a stream: what its host knows, what can be read off its headers, what a plugin has set. Old and new names
 * mean the same.
 */
export function findStreamProperty(path: readonly string[], chain: FilterChain): PropertyValue | undefined {
  return findKnown(canonicalPath(path), chain) ?? findState(path, chain);
}

function findKnown(path: readonly string[], chain: FilterChain): PropertyValue | undefined {
  const value = chain.host.property(path) ?? fromHeaders(path, chain);
  if (value !== undefined || path.length < 2) return value;
  const parent = chain.host.property(path.slice(0, -1));
  return parent === undefined ? undefined : itemOf(parent, path.at(-1)!);
}

/** What plugins have set, as `name` or as `filter_state.wasm.name`. */
function findState(path: readonly string[], chain: FilterChain): PropertyValue | undefined {
  const own = chain.state.get(`wasm.${path.join("\0")}`);
  if (own || path.length < 2) return own;
  const isState = path[0] === "filter_state" || path[0] === "upstream_filter_state";
  return isState ? chain.state.get(path.slice(1).join("\0")) : undefined;
}

/** A part of a map, by its name, or of a list, by its number. */
function itemOf(value: PropertyValue, name: string): PropertyValue | undefined {
  if (typeof value !== "object" || value instanceof Uint8Array) return undefined;
  if ("map" in value) return value.map.find(([key]) => key === name)?.[1];
  return "list" in value && /^\d+$/.test(name) ? value.list[Number(name)] : undefined;
}

type Reader = (chain: FilterChain) => PropertyValue | undefined;

const requestHeader =
  (name: string): Reader =>
  (chain) =>
    chain.request.headers?.get(name);

/** What Envoy reads off the headers itself. */
const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["request.path", requestHeader(":path")],
  ["request.url_path", (chain) => chain.request.headers?.get(":path")?.replace(/\?.*$/s, "")],
  ["request.query", (chain) => chain.request.headers?.get(":path")?.replace(/^[^?]*\??/s, "")],
  ["request.host", requestHeader(":authority")],
  ["request.scheme", requestHeader(":scheme")],
  ["request.method", requestHeader(":method")],
  ["request.referer", requestHeader("referer")],
  ["request.useragent", requestHeader("user-agent")],
  ["request.id", requestHeader("x-request-id")],
  ["request.headers", (chain) => mapOf(chain.request.headers)],
  ["request.headers_bytes", (chain) => sizeOf(chain.request.headers)],
  ["request.size", requestSize],
  [
    "request.total_size",
    (chain) => total(chain.bodyBytes.request, chain.request.headers, chain.request.trailers),
  ],
  ["response.code", responseCode],
  ["response.code_details", (chain) => chain.details],
  ["response.headers", (chain) => mapOf(chain.response.headers)],
  ["response.headers_bytes", (chain) => sizeOf(chain.response.headers)],
  ["response.trailers", (chain) => mapOf(chain.response.trailers)],
  ["response.grpc_status", grpcStatus],
  ["response.size", (chain) => integer(chain.bodyBytes.response)],
  [
    "response.total_size",
    (chain) => total(chain.bodyBytes.response, chain.response.headers, chain.response.trailers),
  ],
]);

function fromHeaders(path: readonly string[], chain: FilterChain): PropertyValue | undefined {
  if (path.length === 2) return readers.get(`${path[0]}.${path[1]}`)?.(chain);
  return path.length === 3 ? lineOf(path, chain) : undefined;
}

function lineOf([of, kind, name]: readonly string[], { request, response }: FilterChain): string | undefined {
  if (kind === "headers" && of === "request") return request.headers?.get(name!.toLowerCase());
  if (of !== "response") return undefined;
  const map = kind === "headers" ? response.headers : kind === "trailers" ? response.trailers : undefined;
  return map?.get(name!.toLowerCase());
}

function mapOf(map: HeaderMap | undefined): PropertyValue | undefined {
  return map && { map: map.lines };
}

function sizeOf(map: HeaderMap | undefined): PropertyValue | undefined {
  return map && integer(map.byteSize);
}

function integer(value: number): PropertyValue {
  return { int: BigInt(value) };
}

function total(body: number, headers: HeaderMap | undefined, trailers: HeaderMap | undefined): PropertyValue {
  return integer(body + (headers?.byteSize ?? 0) + (trailers?.byteSize ?? 0));
}

/** What the request says of its body, as Envoy: the length that it announces, or what has passed. */
function requestSize(chain: FilterChain): PropertyValue {
  const announced = chain.request.headers?.get("content-length");
  return integer(announced && /^\d{1,15}$/.test(announced) ? Number(announced) : chain.bodyBytes.request);
}

function responseCode(chain: FilterChain): PropertyValue | undefined {
  const status = chain.response.headers?.get(":status");
  return status && /^\d{3}$/.test(status) ? integer(Number(status)) : undefined;
}

function grpcStatus({ response }: FilterChain): PropertyValue | undefined {
  const status = response.trailers?.get("grpc-status") ?? response.headers?.get("grpc-status");
  return status && /^\d{1,2}$/.test(status) ? integer(Number(status)) : undefined;
}
