import type { HttpFilter } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
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
import { createFilterChains } from "./filter-chains.ts";
import { chainFilters, type EcdsDefault, filterKey, httpFilters } from "./http-filters.ts";
import { buildListener, isSameListener } from "./listeners.ts";
import { nameTable } from "./name-table.ts";
import { type ChainShape, mayHaveSecret, type ProxyNode } from "./proxy.ts";
import { createRouteBuilder, servicesByGateway } from "./routes.ts";
import { buildSecrets } from "./secrets.ts";
import { byPhase, createPluginSelection } from "./select-plugins.ts";
import { type PortServers, serversByPort } from "./servers.ts";
import { allowedPlugin } from "./withheld.ts";

export interface BuildOptions {
  readonly ecdsDefault: EcdsDefault;
  /** Its plugins apply to the gateways of every namespace. */
  readonly rootNamespace: string;
  /** The shape for gateways that can take it. */
  readonly chain: ChainShape;
}

export const defaultBuildOptions: BuildOptions = {
  ecdsDefault: "fail-open",
  rootNamespace: "higress-system",
  chain: "listener",
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
  const ports = whenChanged((gateways: IstioConfigSet["Gateway"]) => serversByPort(gateways, proxy));
  const withPlugins = { listener: createListenerShape, dynamic: createDynamicShape }[proxy.chain](options);
  const bound = whenChanged(servicesByGateway);
  const routes = whenChanged(createRouteBuilder());
  const clusters = whenChanged((entries: IstioConfigSet["ServiceEntry"]) =>
    entries.flatMap((entry) => buildClusters(entry).clusters),
  );
  const endpoints = whenChanged((entries: IstioConfigSet["ServiceEntry"]) =>
    entries.flatMap((entry) => buildClusters(entry).endpoints),
  );
  const secrets = whenChanged((servers: ReturnType<typeof ports>, all: IstioConfigSet["Secret"]) =>
    buildSecrets(servers, all, proxy),
  );
  const encoded = createExtensionConfigs(proxy);
  const types = createTypes();

  return (config) => {
    const plugins = selectOrdered(config.WasmPlugin);
    const servers = ports(config.Gateway);
    const { listeners, extensions } = withPlugins(servers, plugins, encoded(config.Secret)(plugins));
    return createSnapshot([
      types(typeUrls.cluster, clusters(config.ServiceEntry)),
      types(typeUrls.endpoints, endpoints(config.ServiceEntry)),
      types(typeUrls.secret, secrets(servers, config.Secret)),
      types(typeUrls.extensionConfig, extensions),
      types(typeUrls.listener, listeners),
      types(typeUrls.routes, routes(servers, bound(config.VirtualService))),
      nameTable,
    ]);
  };
}

type Plugin = IstioConfig<"WasmPlugin">;

/** How plugins come into a gateway: listeners and ECDS resources that belong together. */
type PluginShape = (
  servers: readonly PortServers[],
  plugins: readonly Plugin[],
  encoded: readonly SnapshotResource[],
) => { readonly listeners: readonly SnapshotResource[]; readonly extensions: readonly SnapshotResource[] };

/** A filter for each plugin in the listener: it changes with which plugins there are, not with their configuration. */
function createListenerShape({ ecdsDefault }: BuildOptions): PluginShape {
  const filterKeys = mapIncrementally(filterKey);
  const filters = whenChanged(
    (_keys: readonly string[], plugins: readonly Plugin[]): FiltersAt => {
      const phases = byPhase(plugins);
      return (port) => httpFilters(phases, port, ecdsDefault);
    },
    // The filters depend on the keys alone.
    1,
  );
  const build = createListeners();
  return (servers, plugins, encoded) => ({
    listeners: build(servers, filters(filterKeys(plugins), plugins)),
    extensions: encoded,
  });
}

/** A filter for each phase in the listener: it does not change with plugins at all. */
function createDynamicShape({ ecdsDefault }: BuildOptions): PluginShape {
  const filtersAt: FiltersAt = (port) => chainFilters(port, ecdsDefault);
  const build = createListeners();
  const chains = createFilterChains();
  return (servers, plugins, encoded) => {
    const ports = [...new Set(servers.map(({ port }) => port))];
    return { listeners: build(servers, filtersAt), extensions: chains(ports, plugins, encoded) };
  };
}

/** The HTTP filters at a port. Another function stands for other filters. */
type FiltersAt = (port: number) => readonly HttpFilter[];

/** The listeners of ports. One that depends on nothing that changed is not built again. */
function createListeners() {
  type Built = {
    readonly port: PortServers;
    readonly filtersAt: FiltersAt;
    readonly listener: SnapshotResource;
  };
  let last: readonly Built[] = [];
  return (ports: readonly PortServers[], filtersAt: FiltersAt): readonly SnapshotResource[] => {
    last = ports.map((port) => {
      const known = last.find((built) => built.filtersAt === filtersAt && isSameListener(built.port, port));
      return known ?? { port, filtersAt, listener: buildListener(port, filtersAt(port.port)) };
    });
    return last.map(({ listener }) => listener);
  };
}

/** Encodes each plugin once; again only when it or its pull secret has changed. */
function createExtensionConfigs(proxy: ProxyNode) {
  type Encoded = { readonly secret: IstioConfig<"Secret"> | undefined; readonly resource: SnapshotResource };
  const encoded = new WeakMap<Plugin, Encoded>();
  return whenChanged((secrets: readonly IstioConfig<"Secret">[]) =>
    mapIncrementally((plugin: Plugin) => {
      const secret = mayHaveSecret(proxy, plugin.namespace) ? pullSecretOf(plugin, secrets) : undefined;
      const known = encoded.get(plugin);
      if (known && known.secret === secret) return known.resource;
      const resource = extensionConfig(allowedPlugin(plugin, proxy), secret?.spec);
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
