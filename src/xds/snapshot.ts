import { createHash } from "node:crypto";
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { encodeFilterChain, encodeFrame } from "./encode.ts";
import { ResourceTable } from "./resource-table.ts";
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
  const like = previous?.resources instanceof ResourceTable ? previous.resources : undefined;
  const table = new ResourceTable(resources, like);
  if (previous && sameResources(previous.resources, table)) return previous;
  return { typeUrl, version: versionOf(table, like), resources: table };
}

/** So many resources are hashed together: of thousands of which one has changed, these are. */
const partLength = 64;
const hashesOfParts = new WeakMap<ResourceTable, readonly string[]>();

/** A hash of hashes; the parts that are the same in `like` are not hashed again. */
function versionOf(table: ResourceTable, like: ResourceTable | undefined): string {
  const known = (like && hashesOfParts.get(like)) ?? [];
  const hashes: string[] = [];
  for (let start = 0; start < table.size; start += partLength) {
    const part = table.list.slice(start, start + partLength);
    const before = known[hashes.length];
    const isSame = before !== undefined && samePart(part, like!.list, start);
    hashes.push(isSame ? before : hashOfPart(part));
  }
  hashesOfParts.set(table, hashes);
  return contentHash(hashes.join("\0"));
}

function samePart(part: readonly SnapshotResource[], before: readonly SnapshotResource[], start: number) {
  // A last part that has become shorter or longer is another one.
  if (start + part.length !== Math.min(start + partLength, before.length)) return false;
  return part.every((resource, index) => isSame(resource, before[start + index]!));
}

function hashOfPart(part: readonly SnapshotResource[]): string {
  return contentHash(part.map(({ name, version }) => `${name}\0${version}`).join("\0"));
}

/** Of a type that is made late: itself once it is made, else the last one before it that was. */
const lastMade = new WeakMap<SnapshotType, () => SnapshotType | undefined>();

/**
 * A type whose resources are made when the first client asks for them. `previous` is the one before, for what both have in
 * common.
 */
export function createLazySnapshotType(
  typeUrl: string,
  make: () => readonly SnapshotResource[],
  previous?: SnapshotType,
): SnapshotType {
  // Not `previous` itself: each would know the one before, and all that nobody asked for would stay.
  let before = previous && lastMade.has(previous) ? lastMade.get(previous)!() : previous;
  let made: SnapshotType | undefined;
  const type = () => {
    made ??= createSnapshotType(typeUrl, make(), before);
    before = undefined;
    return made;
  };
  const lazy: SnapshotType = {
    typeUrl,
    get version() {
      return type().version;
    },
    get resources() {
      return type().resources;
    },
  };
  lastMade.set(lazy, () => made ?? before);
  return lazy;
}

/** Collects types to a snapshot. */
export function createSnapshot(types: readonly SnapshotType[]): Snapshot {
  return new Map(types.map((type) => [type.typeUrl, type]));
}

function sameResources(a: ReadonlyMap<string, SnapshotResource>, b: ResourceTable): boolean {
  if (a.size !== b.size) return false;
  let place = 0;
  for (const resource of a.values()) if (!isSame(resource, b.list[place++]!)) return false;
  return true;
}

function isSame(a: SnapshotResource, b: SnapshotResource): boolean {
  return a === b || (a.name === b.name && a.version === b.version);
}

/**
 * The latest differences, newest first: as many as there are types times kinds of clients. No weak map from type to type:
 * to V8's frequent small collections its entries are no weaker than others, and each would hold the one before.
 */
const recentDiffs: { readonly from: SnapshotType; readonly to: SnapshotType; readonly diff: TypeDiff }[] = [];
const maxRecentDiffs = 64;

/** What a client that has `from` lacks of `to`. Computed once, however many clients ask at that time. */
export function diffTypes(from: SnapshotType, to: SnapshotType): TypeDiff {
  const known = recentDiffs.find((recent) => recent.to === to && recent.from === from);
  if (known) return known.diff;
  const diff = computeDiff(from.resources, to.resources);
  recentDiffs.unshift({ from, to, diff });
  if (recentDiffs.length > maxRecentDiffs) recentDiffs.pop();
  return diff;
}

type Resources = SnapshotType["resources"];

function computeDiff(from: Resources, to: Resources): TypeDiff {
  const growth = ({ name, filters = [] }: SnapshotResource) =>
    filters.length > (from.get(name)?.filters?.length ?? 0) ? 0 : 1;
  const { changed, removed } =
    isTable(from) && isTable(to) && to.sharesNames(from) ? diffTables(from, to) : diffNames(from, to);
  // A filter that goes from one chain to another is in both for a moment, and never in none.
  return { changed: changed.sort((a, b) => growth(a) - growth(b)), removed };
}

function isTable(resources: Resources): resources is ResourceTable & Resources {
  return resources instanceof ResourceTable;
}

function diffTables(from: ResourceTable, to: ResourceTable) {
  const changed = to.list.filter((resource, place) => !isSame(resource, from.list[place]!));
  return { changed, removed: [] };
}

function diffNames(from: Resources, to: Resources) {
  return {
    changed: [...to.values()].filter(({ name, version }) => from.get(name)?.version !== version),
    removed: [...from.keys()].filter((name) => !to.has(name)),
  };
}
