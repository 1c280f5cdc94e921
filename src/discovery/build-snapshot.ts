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
import { selectPlugins } from "./select-plugins.ts";
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
  const plugins = whenChanged((configs: IstioConfigSet["WasmPlugin"]) =>
    selectPlugins(configs, proxy, options.rootNamespace),
  );
  const ports = whenChanged((gateways: IstioConfigSet["Gateway"]) => serversByPort(gateways, proxy));
  const listeners = whenChanged(
    (servers: ReturnType<typeof ports>, _filterKeys: string, chosen: ReturnType<typeof plugins>) =>
      servers.map((port) => buildListener(port, httpFilters(chosen, port.port, options.ecdsDefault))),
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
    const chosen = plugins(config.WasmPlugin);
    const servers = ports(config.Gateway);
    const inOrder = [...chosen[1], ...chosen[2], ...chosen[3], ...chosen[0]];
    return createSnapshot([
      types(typeUrls.cluster, clusters(config.ServiceEntry)),
      types(typeUrls.endpoints, endpoints(config.ServiceEntry)),
      types(typeUrls.secret, secrets(servers, config.Secret)),
      types(typeUrls.extensionConfig, extensionConfigs(inOrder, config.Secret)),
      types(typeUrls.listener, listeners(servers, inOrder.map(filterKey).join("\n"), chosen)),
      types(typeUrls.routes, routes(servers, config.VirtualService)),
    ]);
  };
}

/** Encodes each plugin once; again only when it or its pull secret has changed. */
function createExtensionConfigs(proxy: ProxyNode) {
  type Plugin = IstioConfig<"WasmPlugin">;
  const encoded = new WeakMap<
    Plugin,
    { secret: IstioConfig<"Secret"> | undefined; resource: SnapshotResource }
  >();
  return (plugins: readonly Plugin[], secrets: readonly IstioConfig<"Secret">[]) =>
    plugins.map((plugin) => {
      const name = plugin.spec.imagePullSecret.split("/").pop();
      const secret =
        name && proxy.trusted
          ? secrets.find((s) => s.name === name && s.namespace === plugin.namespace)
          : undefined;
      const known = encoded.get(plugin);
      if (known && known.secret === secret) return known.resource;
      const resource = extensionConfig(plugin, secret?.spec);
      encoded.set(plugin, { secret, resource });
      return resource;
    });
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

/** A function that remembers its last result while its arguments (the first `compared` of them) are the same. */
function whenChanged<A extends readonly unknown[], R>(
  compute: (...args: A) => R,
  compared = Number.POSITIVE_INFINITY,
): (...args: A) => R {
  let last: { args: A; result: R } | undefined;
  return (...args) => {
    if (last && args.every((arg, index) => index >= compared || arg === last!.args[index]))
      return last.result;
    last = { args, result: compute(...args) };
    return last.result;
  };
}
