import { BinaryReader } from "@bufbuild/protobuf/wire";
import { getOrCreate } from "../get-or-create.ts";
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../xds/ads.ts";
import { encodeFrame } from "../xds/encode.ts";
import type { Snapshot, SnapshotResource, XdsResource } from "../xds/snapshot.ts";
import { isWildcardType, typeUrls } from "../xds/type-urls.ts";

/**
 * What discovery last said of each resource that the gateway has, for an Envoy that starts while discovery is away. It is
 * never written anywhere: it holds secrets.
 */
export interface XdsMemory {
  learnIncremental(response: DeltaDiscoveryResponse): void;
  learnStateOfTheWorld(response: DiscoveryResponse): void;
  /** Forgets what the gateway does not ask for any more. */
  forgetIncremental(request: DeltaDiscoveryRequest): void;
  forgetStateOfTheWorld(request: DiscoveryRequest): void;
  /** All of it; undefined until listeners and clusters are known, without which an Envoy would end what it serves. */
  snapshot(): Snapshot | undefined;
}

interface RememberedType {
  version: string;
  readonly resources: Map<string, SnapshotResource>;
}

export function createXdsMemory(): XdsMemory {
  const types = new Map<string, RememberedType>();
  const typeOf = (typeUrl: string) =>
    getOrCreate(types, typeUrl, () => ({ version: "", resources: new Map() }));

  return {
    learnIncremental({ typeUrl, systemVersionInfo, resources, removedResources }) {
      const type = typeOf(typeUrl);
      type.version = systemVersionInfo;
      for (const { name, version, resource } of resources) {
        // Without a body it only says that the resource lives on.
        if (!resource) continue;
        type.resources.set(name, keep({ name, version, typeUrl: resource.typeUrl, value: resource.value }));
      }
      for (const name of removedResources) type.resources.delete(name);
    },
    learnStateOfTheWorld({ typeUrl, versionInfo, resources }) {
      const type = typeOf(typeUrl);
      type.version = versionInfo;
      // Of a type whose resources are named a response may hold some of them.
      if (isWildcardType(typeUrl)) type.resources.clear();
      for (const { typeUrl: of, value } of resources) {
        const name = nameIn(value);
        type.resources.set(name, keep({ name, version: versionInfo, typeUrl: of, value }));
      }
    },
    forgetIncremental({ typeUrl, resourceNamesUnsubscribe }) {
      for (const name of resourceNamesUnsubscribe) types.get(typeUrl)?.resources.delete(name);
    },
    forgetStateOfTheWorld({ typeUrl, resourceNames }) {
      const type = isWildcardType(typeUrl) ? undefined : types.get(typeUrl);
      if (!type) return;
      const wanted = new Set(resourceNames);
      for (const name of type.resources.keys()) if (!wanted.has(name)) type.resources.delete(name);
    },
    snapshot() {
      if (!types.has(typeUrls.listener) || !types.has(typeUrls.cluster)) return undefined;
      return new Map(
        [...types].map(([typeUrl, { version, resources }]) => [
          typeUrl,
          { typeUrl, version, resources: new Map(resources) },
        ]),
      );
    },
  };
}

/** A copy: what came is a part of its whole response. */
function keep(resource: XdsResource): SnapshotResource {
  const frame = encodeFrame(resource);
  return { ...resource, value: frame.subarray(frame.length - resource.value.length), frame };
}

/** Every resource of Envoy has its name in field 1. */
function nameIn(value: Uint8Array): string {
  const reader = new BinaryReader(value);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) return reader.string();
    reader.skip(wireType, field);
  }
  return "";
}
