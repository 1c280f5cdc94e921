import type { FilterChain } from "./filter-chain.ts";
import type { HeaderMap } from "./header-map.ts";
import { canonicalPath, dottedName, parentPath } from "./property-names.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Direction } from "./stream-host.ts";

/** What of a stream's headers its properties are read off: a plugin has them in their phase only. */
export interface PropertyView {
  readonly request: HeaderMap | undefined;
  readonly response: HeaderMap | undefined;
  readonly responseTrailers: HeaderMap | undefined;
}

/**
 * A property of a stream: what its host knows, what can be read off its headers, what a plugin has set. Old and new names
 * mean the same, unless a plugin has set the old one.
 */
export function findStreamProperty(
  path: readonly string[],
  view: PropertyView,
  chain: FilterChain,
): PropertyValue | undefined {
  const canonical = canonicalPath(path);
  if (canonical === path) return findKnown(path, view, chain) ?? findState(path, chain);
  return findState(path, chain) ?? findKnown(canonical, view, chain);
}

function findKnown(
  path: readonly string[],
  view: PropertyView,
  chain: FilterChain,
): PropertyValue | undefined {
  const value = chain.host.property(path) ?? fromHeaders(path, view, chain);
  if (value !== undefined || path.length < 2) return value;
  const parent = chain.host.property(parentPath(path));
  return parent === undefined ? undefined : itemOf(parent, path.at(-1)!);
}

/** What plugins have set, as `name` or as `filter_state.wasm.name`. As in Envoy a name is one part. */
function findState(path: readonly string[], { state }: FilterChain): PropertyValue | undefined {
  if (state.size === 0) return undefined;
  if (path.length === 1) return state.get(`wasm.${path[0]}`);
  const isState = path[0] === "filter_state" || path[0] === "upstream_filter_state";
  return isState && path.length === 2 ? state.get(path[1]!) : undefined;
}

/** A part of a map, by its name, or of a list, by its number. */
function itemOf(value: PropertyValue, name: string): PropertyValue | undefined {
  if (typeof value !== "object" || value instanceof Uint8Array) return undefined;
  if ("map" in value) return value.map.find(([key]) => key === name)?.[1];
  return "list" in value && /^\d+$/.test(name) ? value.list[Number(name)] : undefined;
}

type Reader = (view: PropertyView, chain: FilterChain) => PropertyValue | undefined;

const requestHeader =
  (name: string): Reader =>
  ({ request }) =>
    request?.get(name);

/** What Envoy reads off the headers itself. */
const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["request.path", requestHeader(":path")],
  ["request.url_path", ({ request }) => request?.get(":path")?.replace(/\?.*$/s, "")],
  ["request.query", ({ request }) => request?.get(":path")?.replace(/^[^?]*\??/s, "")],
  ["request.host", requestHeader(":authority")],
  ["request.scheme", requestHeader(":scheme")],
  ["request.method", requestHeader(":method")],
  ["request.referer", requestHeader("referer")],
  ["request.useragent", requestHeader("user-agent")],
  ["request.id", requestHeader("x-request-id")],
  ["request.headers", ({ request }) => mapOf(request)],
  ["request.headers_bytes", ({ request }) => integer(request?.byteSize ?? 0)],
  ["request.size", requestSize],
  ["request.total_size", (_view, chain) => totalOf("request", chain)],
  ["response.code", responseCode],
  [
    "response.code_details",
    (_view, { details, response }) => details ?? (response.headers && "via_upstream"),
  ],
  ["response.flags", () => integer(0)],
  ["response.headers", ({ response }) => mapOf(response)],
  ["response.headers_bytes", ({ response }) => integer(response?.byteSize ?? 0)],
  ["response.trailers", ({ responseTrailers }) => mapOf(responseTrailers)],
  ["response.grpc_status", grpcStatus],
  ["response.size", (_view, chain) => integer(chain.bodyBytes.response)],
  ["response.total_size", (_view, chain) => totalOf("response", chain)],
]);

function fromHeaders(
  path: readonly string[],
  view: PropertyView,
  chain: FilterChain,
): PropertyValue | undefined {
  if (path.length === 2) return readers.get(dottedName(path))?.(view, chain);
  return path.length === 3 ? valuesOf(mapNamed(path, view), path[2]!.toLowerCase()) : undefined;
}

function mapNamed([of, kind]: readonly string[], view: PropertyView): HeaderMap | undefined {
  if (of === "request") return kind === "headers" ? view.request : undefined;
  if (of !== "response") return undefined;
  if (kind === "headers") return view.response;
  return kind === "trailers" ? view.responseTrailers : undefined;
}

/** All values of a name, with commas between them. */
function valuesOf(map: HeaderMap | undefined, name: string): string | undefined {
  const values = map?.lines.filter((line) => line[0] === name).map((line) => line[1]) ?? [];
  return values.length === 0 ? undefined : values.join(",");
}

function mapOf(map: HeaderMap | undefined): PropertyValue {
  const names = new Set(map?.lines.map(([name]) => name));
  return { map: Array.from(names, (name) => [name, valuesOf(map, name)!] as const) };
}

function integer(value: number): PropertyValue {
  return { int: BigInt(value) };
}

/** Headers, body and trailers together, as they are now. */
function totalOf(direction: Direction, chain: FilterChain): PropertyValue {
  const { headers, trailers } = chain[direction];
  return integer(chain.bodyBytes[direction] + (headers?.byteSize ?? 0) + (trailers?.byteSize ?? 0));
}

/** What the request says of its body, as Envoy: the length that it announces, or what has passed. */
function requestSize({ request }: PropertyView, chain: FilterChain): PropertyValue {
  const announced = request?.get("content-length");
  return integer(announced && /^\d{1,15}$/.test(announced) ? Number(announced) : chain.bodyBytes.request);
}

function responseCode(_view: PropertyView, { response }: FilterChain): PropertyValue | undefined {
  const status = response.headers?.get(":status");
  return status && /^\d{3}$/.test(status) ? integer(Number(status)) : undefined;
}

function grpcStatus(_view: PropertyView, { response }: FilterChain): PropertyValue | undefined {
  const status = response.trailers?.get("grpc-status") ?? response.headers?.get("grpc-status");
  return status && /^\d{1,2}$/.test(status) ? integer(Number(status)) : undefined;
}
