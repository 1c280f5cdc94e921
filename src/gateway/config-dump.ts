import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { resourceJson } from "../xds/envoy-json.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import type { GatewayConfig, Received, ReceivedType, Refused } from "./gateway-config.ts";

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
      ...(includeEndpoints ? [endpointsDump(received.endpoints)] : []),
      listenersDump(config),
      { "@type": `${admin}ScopedRoutesConfigDump` },
      {
        "@type": `${admin}RoutesConfigDump`,
        ...list("dynamic_route_configs", dumps(received.routes, "route_config")),
      },
      secretsDump(received.secrets),
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

function endpointsDump(endpoints: ReceivedType<unknown>): JsonObject {
  return {
    "@type": `${admin}EndpointsConfigDump`,
    ...list(
      "dynamic_endpoint_configs",
      // Envoy says no version here.
      dumps(endpoints, "endpoint_config").map(({ version_info: _, ...entry }) => entry),
    ),
  };
}

function ecdsDump(configs: ReceivedType<unknown>): JsonObject {
  return { "@type": `${admin}EcdsConfigDump`, ...list("ecds_filters", dumps(configs, "ecds_filter")) };
}

function secretsDump({ accepted }: GatewayConfig["received"]["secrets"]): JsonObject {
  const entries = [...accepted.values()].map(({ name, version, receivedAt, config }) => ({
    name,
    version_info: version,
    last_updated: receivedAt.toISOString(),
    secret: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
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
  return { "@type": `${admin}SecretsConfigDump`, ...list("dynamic_active_secrets", entries) };
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
      version_info: refused.version,
    },
  };
}

/** Envoy leaves empty lists out. */
function list(name: string, items: readonly JsonObject[]): JsonObject {
  return items.length === 0 ? {} : { [name]: [...items] };
}
