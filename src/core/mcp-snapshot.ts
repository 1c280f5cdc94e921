import { getOrCreate } from "../get-or-create.ts";
import { mapIncrementally } from "../incremental.ts";
import type { IstioConfig, IstioConfigSet, IstioKind } from "../istio/config.ts";
import { kinds, trafficExtensionTypeUrl } from "../istio/kinds.ts";
import { encodeMcp, encodeTrafficExtension } from "../istio/mcp.ts";
import {
  createLazySnapshotType,
  createSnapshot,
  type Snapshot,
  type SnapshotResource,
  type SnapshotType,
} from "../xds/snapshot.ts";

type Encode<K extends IstioKind> = (config: IstioConfig<K>) => SnapshotResource;

const encodeOnce = memoise(encodeMcp);
const encodeTrafficExtensionOnce = memoise(encodeTrafficExtension);
/** Of a list that differs in one resource from the last of its kind, only that one is looked up. */
const encodeEach = new Map<IstioKind, (configs: readonly IstioConfig[]) => readonly SnapshotResource[]>();
const encodeTrafficExtensions = mapIncrementally(encodeTrafficExtensionOnce);
const byList = new WeakMap<readonly IstioConfig[], readonly SnapshotType[]>();

/**
 * Station 3: Istio's resources as MCP carries them, under the type URLs of all istiods that ask (old and new API
 * versions). Each resource is encoded once, and only when somebody asks for its type. What `previous` has already is not
 * put together again.
 */
export function mcpSnapshot(config: IstioConfigSet, previous?: Snapshot): Snapshot {
  return createSnapshot(
    (Object.keys(kinds) as IstioKind[]).flatMap((kind) => typesOf(kind, config[kind], previous)),
  );
}

/** The `metadata.version` under which a plugin is served. */
export function servedVersion(plugin: IstioConfig<"WasmPlugin">): string {
  return encodeOnce(plugin).source ?? "";
}

function typesOf<K extends IstioKind>(
  kind: K,
  configs: readonly IstioConfig<K>[],
  previous: Snapshot | undefined,
): readonly SnapshotType[] {
  return getOrCreate(byList, configs, () => {
    const encodeAll = getOrCreate(encodeEach, kind, () => mapIncrementally(encodeOnce));
    const types = kinds[kind].mcpTypeUrls.map((typeUrl) =>
      createLazySnapshotType(typeUrl, () => encodeAll(configs), previous?.get(typeUrl)),
    );
    if (kind !== "WasmPlugin") return types;
    const plugins = configs as readonly IstioConfig<"WasmPlugin">[];
    const encode = () => encodeTrafficExtensions(plugins);
    const before = previous?.get(trafficExtensionTypeUrl);
    return [...types, createLazySnapshotType(trafficExtensionTypeUrl, encode, before)];
  });
}

function memoise<K extends IstioKind>(encode: Encode<K>): Encode<K> {
  const encoded = new WeakMap<IstioConfig<K>, SnapshotResource>();
  return (config) => getOrCreate(encoded, config, () => encode(config));
}
