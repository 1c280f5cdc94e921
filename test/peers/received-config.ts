import { createRegistry, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { applyResponse, type ConfigUpdate } from "../../src/gateway/apply-response.ts";
import type { GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { FilterChainConfigSchema } from "../../src/gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { LocalRateLimitSchema } from "../../src/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RouterSchema } from "../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { WasmSchema } from "../../src/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { encodeResource, type XdsResource } from "../../src/xds/snapshot.ts";
import { filterChainTypeUrl, typeUrls, wasmTypeUrl } from "../../src/xds/type-urls.ts";

const schemas = {
  cluster: ClusterSchema,
  endpoints: ClusterLoadAssignmentSchema,
  listener: ListenerSchema,
  routes: RouteConfigurationSchema,
  extensionConfig: TypedExtensionConfigSchema,
} as const;
const registry = createRegistry(
  FilterChainConfigSchema,
  HttpConnectionManagerSchema,
  LocalRateLimitSchema,
  RouterSchema,
  StringValueSchema,
  WasmSchema,
);
const rateLimitTypeUrl = `type.googleapis.com/${LocalRateLimitSchema.typeName}`;
const extension = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`;

/** A resource as it comes from the agent, from Envoy's JSON. */
export function receivedResource(kind: keyof typeof schemas, name: string, json: JsonObject): XdsResource {
  const named = kind === "endpoints" ? json : { name, ...json };
  const message = fromJson(schemas[kind], named, { registry });
  return encodeResource(name, schemas[kind], message as never);
}

/** Applies resources in turn; fails where one is refused. `removed` of each kind are names. */
export function receive(
  config: GatewayConfig,
  kind: keyof typeof schemas,
  changed: readonly XdsResource[],
  removed: readonly string[] = [],
): GatewayConfig {
  const update: ConfigUpdate = { typeUrl: typeUrls[kind], changed, removed };
  const { config: next, errors } = applyResponse(config, update);
  for (const [name, reason] of errors) throw new Error(`${name} is refused: ${reason}`);
  return next;
}

/** A cluster of endpoints on 127.0.0.1. */
export function staticCluster(name: string, ...ports: readonly number[]): XdsResource {
  const endpoints = ports.map((port) => ({ endpoint: { address: addressOf(port) } }));
  return receivedResource("cluster", name, {
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
  });
}

/** A plaintext listener `test` with places for plugins; everything goes to the cluster `up`. */
export function slotListener(port: number, slots: readonly string[], routes?: JsonValue): XdsResource {
  const catchAll = [{ match: { prefix: "/" }, route: { cluster: "up" } }];
  const hcm = {
    "@type": extension("network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "test",
    http_filters: [
      ...slots.map((name) => ({
        name,
        config_discovery: {
          config_source: { ads: {} },
          type_urls: [wasmTypeUrl, filterChainTypeUrl, rateLimitTypeUrl],
        },
      })),
      { name: "router", typed_config: { "@type": extension("http.router.v3.Router") } },
    ],
    route_config: {
      name: "routes",
      virtual_hosts: [{ name: "any", domains: ["*"], routes: routes ?? catchAll }],
    },
  };
  return receivedResource("listener", "test", {
    address: addressOf(port),
    filter_chains: [{ filters: [{ name: "hcm", typed_config: hcm }] }],
  });
}

/** A plugin as ECDS gives it: a module's file, or its bytes. */
export function pluginResource(name: string, code: string | Uint8Array, configuration = ""): XdsResource {
  const local: JsonObject =
    typeof code === "string" ? { filename: code } : { inline_bytes: Buffer.from(code).toString("base64") };
  const value = { "@type": "type.googleapis.com/google.protobuf.StringValue", value: configuration };
  return receivedResource("extensionConfig", name, {
    typed_config: {
      "@type": extension("http.wasm.v3.Wasm"),
      config: { name, configuration: value, vm_config: { vm_id: "test", code: { local } } },
    },
  });
}

/** A limit as ECDS gives it: so many requests an hour. */
export function rateLimitResource(name: string, maxTokens: number): XdsResource {
  return receivedResource("extensionConfig", name, {
    typed_config: {
      "@type": rateLimitTypeUrl,
      stat_prefix: name,
      token_bucket: { max_tokens: maxTokens, fill_interval: "3600s" },
      filter_enabled: { default_value: { numerator: 100 } },
      filter_enforced: { default_value: { numerator: 100 } },
    },
  });
}

function addressOf(port: number): JsonObject {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
