import { createHash } from "node:crypto";
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { getOrCreate } from "../get-or-create.ts";
import { encodeFilterChain, encodeFrame } from "./encode.ts";
import { typeUrls } from "./type-urls.ts";

/** One resource of xDS. */
export interface XdsResource {
  readonly name: string;
  /** A content hash where it is ours. */
  readonly version: string;
  /** Type URL of the `Any`. */
  readonly typeUrl: string;
  /** Value of the `Any`. */
  readonly value: Uint8Array;
  /** The version of what it was made from, where that is a resource with a version of its own. */
  readonly source?: string;
}

/** A resource that is served, encoded once: what every client gets is these bytes. */
export interface SnapshotResource extends XdsResource {
  /** The encoded `envoy.service.discovery.v3.Resource`, as a response holds it; `value` is a part of it. */
  readonly frame: Uint8Array;
  /** Of a filter chain: the filters that it was put together from, in order. A client answers for each of them. */
  readonly filters?: readonly XdsResource[];
}

/** All resources of one type. The same content has the same version. */
export interface SnapshotType {
  readonly typeUrl: string;
  readonly version: string;
  readonly resources: ReadonlyMap<string, SnapshotResource>;
}

/** Everything that a server has to say at one moment, by type URL. Types that did not change keep their identity. */
export type Snapshot = ReadonlyMap<string, SnapshotType>;

/** What became of one type between two snapshots. */
export interface TypeDiff {
  readonly changed: readonly SnapshotResource[];
  readonly removed: readonly string[];
}

/** A content hash, short enough for a log line. */
export function contentHash(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("base64url").slice(0, 16);
}

/** Encodes a message to the bytes that all clients share. */
export function encodeResource<D extends DescMessage>(
  name: string,
  schema: D,
  message: MessageShape<D>,
): SnapshotResource {
  return rawResource(name, `type.googleapis.com/${schema.typeName}`, toBinary(schema, message));
}

/** A resource from bytes that are already encoded. */
export function rawResource(name: string, typeUrl: string, bytes: Uint8Array): SnapshotResource {
  const version = contentHash(typeUrl, bytes);
  const frame = encodeFrame({ name, version, typeUrl, value: bytes });
  return { name, version, typeUrl, value: frame.subarray(frame.length - bytes.length), frame };
}

/** The ECDS resource of a filter chain, from filters that are encoded already. */
export function filterChainResource(name: string, filters: readonly XdsResource[]): SnapshotResource {
  const bytes = encodeFilterChain(
    name,
    filters.map(({ value }) => value),
  );
  return { ...rawResource(name, typeUrls.extensionConfig, bytes), filters };
}

/** What a client answers for: the filters of a chain, else the resource itself. */
export function partsOf(resource: SnapshotResource): readonly XdsResource[] {
  return resource.filters ?? [resource];
}

/**
 * Collects the resources of a type. Gives back `previous` itself where nothing changed, so that comparing references
 * is comparing contents.
 */
export function createSnapshotType(
  typeUrl: string,
  resources: readonly SnapshotResource[],
  previous?: SnapshotType,
): SnapshotType {
  const byName = new Map<string, SnapshotResource>();
  for (const resource of resources) byName.set(resource.name, resource);
  if (previous && sameResources(previous.resources, byName)) return previous;
  const versions: string[] = [];
  for (const [name, { version }] of byName) versions.push(name, version);
  return { typeUrl, version: contentHash(versions.join("\0")), resources: byName };
}

/** A type whose resources are made when the first client asks for them. */
export function createLazySnapshotType(
  typeUrl: string,
  make: () => readonly SnapshotResource[],
): SnapshotType {
  let made: SnapshotType | undefined;
  const type = () => (made ??= createSnapshotType(typeUrl, make()));
  return {
    typeUrl,
    get version() {
      return type().version;
    },
    get resources() {
      return type().resources;
    },
  };
}

/** Collects types to a snapshot. */
export function createSnapshot(types: readonly SnapshotType[]): Snapshot {
  return new Map(types.map((type) => [type.typeUrl, type]));
}

function sameResources(
  a: ReadonlyMap<string, SnapshotResource>,
  b: ReadonlyMap<string, SnapshotResource>,
): boolean {
  if (a.size !== b.size) return false;
  const others = b.values();
  for (const resource of a.values()) {
    const other = others.next().value;
    if (other === resource) continue;
    if (other?.name !== resource.name || other.version !== resource.version) return false;
  }
  return true;
}

const diffs = new WeakMap<SnapshotType, WeakMap<SnapshotType, TypeDiff>>();

/** What a client that has `from` lacks of `to`. Computed once, however many clients ask. */
export function diffTypes(from: SnapshotType, to: SnapshotType): TypeDiff {
  const fromOthers = getOrCreate(diffs, to, () => new WeakMap());
  return getOrCreate(fromOthers, from, () => computeDiff(from.resources, to.resources));
}

function computeDiff(
  from: ReadonlyMap<string, SnapshotResource>,
  to: ReadonlyMap<string, SnapshotResource>,
): TypeDiff {
  const changed: SnapshotResource[] = [];
  for (const [name, resource] of to) {
    const known = from.get(name);
    if (known !== resource && known?.version !== resource.version) changed.push(resource);
  }
  const growth = ({ name, filters = [] }: SnapshotResource) =>
    filters.length > (from.get(name)?.filters?.length ?? 0) ? 0 : 1;
  return {
    // A filter that goes from one chain to another is in both for a moment, and never in none.
    changed: changed.sort((a, b) => growth(a) - growth(b)),
    removed: [...from.keys()].filter((name) => !to.has(name)),
  };
}
