import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { compileCluster } from "./compile-cluster.ts";
import { compileEndpoints } from "./compile-endpoints.ts";
import { compileListener } from "./compile-listener.ts";
import { compileRouteTable } from "./compile-route-table.ts";
import { compileSecret } from "./compile-tls.ts";
import { decodeMessage, decodeWithout } from "./decode-any.ts";
import { decodeFilter } from "./filter-config.ts";
import type { FilterConfig, GatewayConfig, ReceivedType } from "./gateway-config.ts";
import { refuse } from "./refused-config.ts";
import type { RouteTable } from "./route-table.ts";

export type ReceivedKey = keyof GatewayConfig["received"];
export type ConfigOf<K extends ReceivedKey> =
  GatewayConfig["received"][K] extends ReceivedType<infer T> ? T : never;

/** Makes something of a resource. `previous` is what the last version of the same name was made to. */
export type Compile<K extends ReceivedKey> = (
  name: string,
  bytes: Uint8Array,
  previous: ConfigOf<K> | undefined,
) => ConfigOf<K>;

/** What becomes of the resources of each type. */
export const compilers: { readonly [K in ReceivedKey]: Compile<K> } = {
  clusters: (name, bytes) => compileCluster(named(name, decodeMessage(ClusterSchema, bytes))),
  endpoints: (name, bytes) => {
    const assignment = decodeMessage(ClusterLoadAssignmentSchema, bytes);
    named(name, { name: assignment.clusterName });
    return compileEndpoints(assignment);
  },
  listeners: (name, bytes) => compileListener(named(name, decodeMessage(ListenerSchema, bytes))),
  routes: compileRouteConfiguration,
  secrets: (name, bytes) => compileSecret(named(name, decodeMessage(SecretSchema, bytes))),
  extensionConfigs: compileExtension,
};

function compileExtension(name: string, bytes: Uint8Array, previous: FilterConfig | undefined): FilterConfig {
  const { typedConfig } = named(name, decodeMessage(TypedExtensionConfigSchema, bytes));
  if (!typedConfig) return refuse("typed_config", "is required");
  return decodeFilter(name, typedConfig, previous);
}

function compileRouteConfiguration(
  name: string,
  bytes: Uint8Array,
  previous: RouteTable | undefined,
): RouteTable {
  const { number } = RouteConfigurationSchema.field.virtualHosts;
  const { message, values } = decodeWithout(RouteConfigurationSchema, number, bytes);
  return compileRouteTable(named(name, message), values, previous);
}

function named<T extends { readonly name: string }>(name: string, message: T): T {
  if (message.name !== name)
    refuse("name", `is ${JSON.stringify(message.name)} in a resource of another name`);
  return message;
}

/** By type URL. */
export const receivedKeys: ReadonlyMap<string, ReceivedKey> = new Map([
  [typeUrls.cluster, "clusters"],
  [typeUrls.endpoints, "endpoints"],
  [typeUrls.listener, "listeners"],
  [typeUrls.routes, "routes"],
  [typeUrls.secret, "secrets"],
  [typeUrls.extensionConfig, "extensionConfigs"],
]);
