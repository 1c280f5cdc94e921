import type { SnapshotResource, XdsResource } from "./snapshot.ts";
import { filterChainTypeUrl } from "./type-urls.ts";

/**
 * Responses are put together from resources that are already encoded: a thousand plugins for two hundred gateways are
 * copied once each, and never encoded again. Field numbers of envoy.service.discovery.v3; all fields here are
 * length-delimited.
 */
export interface IncrementalResponse {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly SnapshotResource[];
  readonly removed: readonly string[];
}

export type StateOfTheWorldResponse = Omit<IncrementalResponse, "removed">;

/** A `Resource` as field 2 of a `DeltaDiscoveryResponse`. Its last bytes are the value of the `Any`. */
export function encodeFrame(resource: XdsResource): Buffer {
  return encodeFrameOf(resource, [resource.value]);
}

/** The same of a value in parts. */
export function encodeFrameOf(
  { name, version, typeUrl }: Omit<XdsResource, "value">,
  parts: readonly Uint8Array[],
): Buffer {
  const size = sizeOf(parts);
  const names = [text(3, name), text(1, version)];
  const any = anyHeads(typeUrl, size);
  return Buffer.concat([head(2, sizeOf(names) + sizeOf(any) + size), ...names, ...any, ...parts]);
}

/** A `DeltaDiscoveryResponse`. */
export function encodeIncremental({
  typeUrl,
  version,
  nonce,
  resources,
  removed,
}: IncrementalResponse): Buffer {
  const frames = resources.map(({ frame }) => frame);
  const names = removed.map((name) => text(6, name));
  return Buffer.concat([text(1, version), ...frames, text(4, typeUrl), text(5, nonce), ...names]);
}

/** A `DiscoveryResponse`. */
export function encodeStateOfTheWorld({
  typeUrl,
  version,
  nonce,
  resources,
}: StateOfTheWorldResponse): Buffer {
  const anys = resources.flatMap((resource) => [
    ...anyHeads(resource.typeUrl, resource.value.length),
    resource.value,
  ]);
  return Buffer.concat([text(1, version), ...anys, text(4, typeUrl), text(5, nonce)]);
}

/** A `TypedExtensionConfig` with Envoy's `FilterChainConfig` of filters that are encoded `TypedExtensionConfig`s. */
export function encodeFilterChain(name: string, filters: readonly Uint8Array[]): Buffer {
  const entries = filters.flatMap((filter) => [head(1, filter.length), filter]);
  // Envoy refuses a chain of no filters. A configuration without one lets pass.
  const config = filters.length === 0 ? [] : [head(1, sizeOf(entries)), ...entries];
  return Buffer.concat([text(1, name), ...anyHeads(filterChainTypeUrl, sizeOf(config)), ...config]);
}

/** Everything of an `Any` as field 2 of a message, but its value, which has `length` bytes. */
function anyHeads(typeUrl: string, length: number): Buffer[] {
  const fields = [text(1, typeUrl), head(2, length)];
  return [head(2, sizeOf(fields) + length), ...fields];
}

function text(field: number, value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([head(field, bytes.length), bytes]);
}

/** The tag and the length of a field. */
function head(field: number, length: number): Buffer {
  const bytes = [(field << 3) | 2];
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((size, part) => size + part.length, 0);
}
