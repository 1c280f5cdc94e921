import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { resourceJson } from "../xds/envoy-json.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import type { Cluster, Endpoint } from "./cluster-config.ts";
import type { GatewayConfig, Received, ReceivedType, Refused } from "./gateway-config.ts";
import { referencesOfCluster, referencesOfListener } from "./references.ts";

const admin = "type.googleapis.com/envoy.admin.v3.";

export interface ConfigDumpOptions {
  /** The bootstrap, or as much as there is of one, as JSON. */
  readonly bootstrap: JsonObject;
  readonly startedAt: Date;
  /** `include_eds`. */
  readonly includeEndpoints?: boolean;
}

/**
 * What Envoy's `/config_dump` answers. Names are those of the protos; secrets do not leave it, and Envoy's words stand in
 * their place.
 */
export function configDump(
  config: GatewayConfig,
  { bootstrap, startedAt, includeEndpoints = false }: ConfigDumpOptions,
): JsonObject {
  const { received } = config;
  return {
    configs: [
      { "@type": `${admin}BootstrapConfigDump`, bootstrap, last_updated: startedAt.toISOString() },
      clustersDump(config),
      ecdsDump(received.extensionConfigs),
      ...(includeEndpoints ? [endpointsDump(config)] : []),
      listenersDump(config),
      { "@type": `${admin}ScopedRoutesConfigDump` },
      {
        "@type": `${admin}RoutesConfigDump`,
        ...list("dynamic_route_configs", dumps(received.routes, "route_config")),
      },
      secretsDump(config),
    ],
  };
}

function clustersDump({ received: { clusters }, warmingClusters }: GatewayConfig): JsonObject {
  const isWarming = ({ name, config }: Received<unknown>) => warmingClusters.get(name) === config;
  const all = [...clusters.accepted.values()];
  const of = (kind: (resource: Received<unknown>) => boolean) =>
    all.filter(kind).map((one) => dump(one, "cluster"));
  return {
    "@type": `${admin}ClustersConfigDump`,
    version_info: clusters.version,
    ...list(
      "dynamic_active_clusters",
      of((one) => !isWarming(one)),
    ),
    ...list("dynamic_warming_clusters", of(isWarming)),
  };
}

function listenersDump({ received: { listeners }, warmingListeners }: GatewayConfig): JsonObject {
  const entries = [...listeners.accepted.values()].map((listener) => {
    const state = warmingListeners.get(listener.name) === listener.config ? "warming_state" : "active_state";
    const refused = listeners.refused.get(listener.name);
    return { name: listener.name, [state]: dump(listener, "listener"), ...errorState(refused) };
  });
  const never = [...listeners.refused.values()]
    .filter(({ name }) => !listeners.accepted.has(name))
    .map((refused) => ({ name: refused.name, ...errorState(refused) }));
  return {
    "@type": `${admin}ListenersConfigDump`,
    version_info: listeners.version,
    ...list("dynamic_listeners", [...entries, ...never]),
  };
}

/** As Envoy: the endpoints as clusters have them, and of all clusters. */
function endpointsDump({ clusters }: GatewayConfig): JsonObject {
  const entries = [...clusters.values()].map((cluster) => ({ endpoint_config: assignment(cluster) }));
  return { "@type": `${admin}EndpointsConfigDump`, ...list("dynamic_endpoint_configs", entries) };
}

function assignment({ assignmentName, endpoints }: Cluster): JsonObject {
  return {
    "@type": typeUrls.endpoints,
    cluster_name: assignmentName,
    endpoints: endpoints.localities.map(({ region, zone, subZone, priority, endpoints: hosts }) => ({
      locality: { ...text("region", region), ...text("zone", zone), ...text("sub_zone", subZone) },
      lb_endpoints: hosts.map(endpointJson),
      load_balancing_weight: 0,
      ...(priority > 0 && { priority }),
    })),
    policy: { overprovisioning_factor: endpoints.overprovisioningFactor },
  };
}

function endpointJson({ address, port, hostname, health, weight }: Endpoint): JsonObject {
  const place: JsonObject =
    port === 0 ? { pipe: { path: address } } : { socket_address: { address, port_value: port } };
  return {
    endpoint: { address: place, health_check_config: {}, ...text("hostname", hostname) },
    health_status: health.toUpperCase(),
    load_balancing_weight: weight,
  };
}

/** As proto3 JSON: nothing where it is empty. */
function text(name: string, value: string): JsonObject {
  return value === "" ? {} : { [name]: value };
}

function ecdsDump(configs: ReceivedType<unknown>): JsonObject {
  return { "@type": `${admin}EcdsConfigDump`, ...list("ecds_filters", dumps(configs, "ecds_filter")) };
}

function secretsDump(config: GatewayConfig): JsonObject {
  const { accepted } = config.received.secrets;
  const entries = [...accepted.values()].map(({ name, version, receivedAt, config }) => ({
    name,
    version_info: version,
    last_updated: receivedAt.toISOString(),
    secret: {
      "@type": typeUrls.secret,
      name,
      ...(config.kind === "certificate"
        ? {
            tls_certificate: {
              certificate_chain: { inline_bytes: Buffer.from(config.chain).toString("base64") },
              private_key: { inline_bytes: redacted },
            },
          }
        : {
            validation_context: {
              ...(config.trustedCa
                ? { trusted_ca: { inline_bytes: Buffer.from(config.trustedCa).toString("base64") } }
                : {}),
            },
          }),
    },
  }));
  return {
    "@type": `${admin}SecretsConfigDump`,
    ...list("dynamic_active_secrets", entries),
    ...list("dynamic_warming_secrets", awaitedSecrets(config)),
  };
}

/** Secrets that listeners and clusters wait for. */
function awaitedSecrets({ received, warmingListeners, warmingClusters }: GatewayConfig): JsonObject[] {
  const names = new Set([
    ...[...warmingListeners.values()].flatMap((listener) => [...referencesOfListener(listener).secrets]),
    ...[...warmingClusters.values()].flatMap((cluster) => [...referencesOfCluster(cluster).secrets]),
  ]);
  return [...names]
    .filter((name) => !received.secrets.accepted.has(name))
    .map((name) => ({ name, version_info: "uninitialized", secret: { "@type": typeUrls.secret, name } }));
}

/** `[redacted]` in base64, as Envoy has it. */
const redacted = Buffer.from("[redacted]").toString("base64");

function dumps(type: ReceivedType<unknown>, field: string): JsonObject[] {
  return [...type.accepted.values()].map((resource) => ({
    ...dump(resource, field),
    ...errorState(type.refused.get(resource.name)),
  }));
}

function dump(resource: Received<unknown>, field: string): JsonObject {
  return {
    version_info: resource.version,
    [field]: withType(resource),
    last_updated: resource.receivedAt.toISOString(),
  };
}

function withType(resource: XdsResource): JsonValue {
  const json = resourceJson(resource, true);
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  return { "@type": resource.typeUrl, ...json };
}

function errorState(refused: Refused | undefined): JsonObject {
  if (!refused) return {};
  return {
    error_state: {
      failed_configuration: withType(refused),
      last_update_attempt: refused.refusedAt.toISOString(),
      details: refused.reason,
    },
  };
}

/** Envoy leaves empty lists out. */
function list(name: string, items: readonly JsonObject[]): JsonObject {
  return items.length === 0 ? {} : { [name]: [...items] };
}
