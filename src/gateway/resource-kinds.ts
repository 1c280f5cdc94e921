import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { errorText } from "../system-error.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { compileCluster } from "./compile-cluster.ts";
import { compileEndpoints } from "./compile-endpoints.ts";
import { compileListener } from "./compile-listener.ts";
import { compileRoutes } from "./compile-routes.ts";
import { compileSecret } from "./compile-tls.ts";
import { decodeFilter } from "./filter-config.ts";
import type { FilterConfig, GatewayConfig, ReceivedType } from "./gateway-config.ts";
import { refuse } from "./refused-config.ts";

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
  clusters: (name, bytes) => compileCluster(named(name, decode(ClusterSchema, bytes))),
  endpoints: (name, bytes) => {
    const assignment = decode(ClusterLoadAssignmentSchema, bytes);
    named(name, { name: assignment.clusterName });
    return compileEndpoints(assignment);
  },
  listeners: (name, bytes) => compileListener(named(name, decode(ListenerSchema, bytes))),
  routes: (name, bytes) => compileRoutes(named(name, decode(RouteConfigurationSchema, bytes))),
  secrets: (name, bytes) => compileSecret(named(name, decode(SecretSchema, bytes))),
  extensionConfigs: compileExtension,
};

function compileExtension(name: string, bytes: Uint8Array, previous: FilterConfig | undefined): FilterConfig {
  const { typedConfig } = named(name, decode(TypedExtensionConfigSchema, bytes));
  if (!typedConfig) return refuse("typed_config", "is required");
  return decodeFilter(name, typedConfig, previous);
}

function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    return refuse("", `Unable to parse ${schema.typeName}: ${errorText(error)}`);
  }
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
