import { mapIncrementally, whenChanged } from "../incremental.ts";
import type { IstioConfig, IstioConfigSet } from "../istio/config.ts";
import {
  createSnapshot,
  createSnapshotType,
  type Snapshot,
  type SnapshotResource,
  type SnapshotType,
} from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { buildClusters } from "./clusters.ts";
import { extensionConfig } from "./extension-configs.ts";
import { type EcdsDefault, filterKey, httpFilters } from "./http-filters.ts";
import { buildListener } from "./listeners.ts";
import type { ProxyNode } from "./proxy.ts";
import { buildRoutes } from "./routes.ts";
import { buildSecrets } from "./secrets.ts";
import { byPhase, createPluginSelection } from "./select-plugins.ts";
import { serversByPort } from "./servers.ts";

export interface BuildOptions {
  readonly ecdsDefault: EcdsDefault;
  /** Its plugins apply to the gateways of every namespace. */
  readonly rootNamespace: string;
}

export const defaultBuildOptions: BuildOptions = {
  ecdsDefault: "fail-open",
  rootNamespace: "higress-system",
};

/** Station 5: what one proxy gets of Istio's resources. */
export function buildSnapshot(
  config: IstioConfigSet,
  proxy: ProxyNode,
  options: BuildOptions = defaultBuildOptions,
): Snapshot {
  return createSnapshotBuilder(proxy, options)(config);
}

/**
 * The same function for a stream of configurations: what did not change since the last call is not built again, so that
 * one edited plugin costs one encoding.
 */
export function createSnapshotBuilder(
  proxy: ProxyNode,
  options: BuildOptions,
): (config: IstioConfigSet) => Snapshot {
  const selectOrdered = createPluginSelection(proxy, options.rootNamespace);
  const filterKeys = mapIncrementally(filterKey);
  const ports = whenChanged((gateways: IstioConfigSet["Gateway"]) => serversByPort(gateways, proxy));
  const listeners = whenChanged(
    (
      servers: ReturnType<typeof ports>,
      _filterKeys: readonly string[],
      plugins: IstioConfigSet["WasmPlugin"],
    ) =>
      servers.map((port) =>
        buildListener(port, httpFilters(byPhase(plugins), port.port, options.ecdsDefault)),
      ),
    // The filters depend on the keys alone, not on the plugins' configuration.
    2,
  );
  const routes = whenChanged(
    (servers: ReturnType<typeof ports>, services: IstioConfigSet["VirtualService"]) =>
      servers.flatMap((port) => buildRoutes(port, services)),
  );
  const clusters = whenChanged((entries: IstioConfigSet["ServiceEntry"]) =>
    entries.flatMap((entry) => buildClusters(entry).clusters),
  );
  const endpoints = whenChanged((entries: IstioConfigSet["ServiceEntry"]) =>
    entries.flatMap((entry) => buildClusters(entry).endpoints),
  );
  const secrets = whenChanged(buildSecrets);
  const extensionConfigs = createExtensionConfigs(proxy);
  const types = createTypes();

  return (config) => {
    const plugins = selectOrdered(config.WasmPlugin);
    const servers = ports(config.Gateway);
    return createSnapshot([
      types(typeUrls.cluster, clusters(config.ServiceEntry)),
      types(typeUrls.endpoints, endpoints(config.ServiceEntry)),
      types(typeUrls.secret, secrets(servers, config.Secret)),
      types(typeUrls.extensionConfig, extensionConfigs(config.Secret)(plugins)),
      types(typeUrls.listener, listeners(servers, filterKeys(plugins), plugins)),
      types(typeUrls.routes, routes(servers, config.VirtualService)),
    ]);
  };
}

/** Encodes each plugin once; again only when it or its pull secret has changed. */
function createExtensionConfigs(proxy: ProxyNode) {
  type Plugin = IstioConfig<"WasmPlugin">;
  type Encoded = { readonly secret: IstioConfig<"Secret"> | undefined; readonly resource: SnapshotResource };
  const encoded = new WeakMap<Plugin, Encoded>();
  return whenChanged((secrets: readonly IstioConfig<"Secret">[]) =>
    mapIncrementally((plugin: Plugin) => {
      const secret = proxy.trusted ? pullSecretOf(plugin, secrets) : undefined;
      const known = encoded.get(plugin);
      if (known && known.secret === secret) return known.resource;
      const resource = extensionConfig(plugin, secret?.spec);
      encoded.set(plugin, { secret, resource });
      return resource;
    }),
  );
}

function pullSecretOf(
  { namespace, spec }: IstioConfig<"WasmPlugin">,
  secrets: readonly IstioConfig<"Secret">[],
) {
  const name = spec.imagePullSecret.split("/").pop();
  return name ? secrets.find((secret) => secret.name === name && secret.namespace === namespace) : undefined;
}

/** Keeps the identity of types whose content did not change. */
function createTypes() {
  const last = new Map<string, SnapshotType>();
  return (typeUrl: string, resources: readonly SnapshotResource[]): SnapshotType => {
    const type = createSnapshotType(typeUrl, resources, last.get(typeUrl));
    last.set(typeUrl, type);
    return type;
  };
}
