import {
  createRegistry,
  type DescMessage,
  fromBinary,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { file_google_protobuf_struct, file_google_protobuf_wrappers } from "@bufbuild/protobuf/wkt";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { CompositeSchema } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { FilterChainConfigSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { LocalRateLimitSchema } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { TlsInspectorSchema } from "../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { HttpConnectionManagerSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { DownstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { XdsResource } from "./snapshot.ts";

/** The messages that an `Any` of ours can hold. */
export const envoyTypes = createRegistry(
  file_google_protobuf_struct,
  file_google_protobuf_wrappers,
  ClusterSchema,
  ClusterLoadAssignmentSchema,
  CompositeSchema,
  CorsSchema,
  DownstreamTlsContextSchema,
  FilterChainConfigSchema,
  HTTPFaultSchema,
  HttpConnectionManagerSchema,
  HttpProtocolOptionsSchema,
  ListenerSchema,
  LocalRateLimitSchema,
  RBACSchema,
  RouteConfigurationSchema,
  RouterSchema,
  SecretSchema,
  TlsInspectorSchema,
  TypedExtensionConfigSchema,
  WasmSchema,
);

/**
 * A message of Envoy's API as proto3 JSON, with `@type` first in every `Any` as Envoy prints it. `protoNames` gives the
 * snake_case names of Envoy's own dumps.
 */
export function envoyJson<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  protoNames = false,
): JsonValue {
  return typesFirst(
    toJson(schema, message, { registry: envoyTypes, useProtoFieldName: protoNames }) as JsonValue,
  );
}

/** A resource of a snapshot as proto3 JSON. */
export function resourceJson({ typeUrl, value }: XdsResource, protoNames = false): JsonValue {
  const schema = envoyTypes.getMessage(typeUrl.slice(typeUrl.indexOf("/") + 1));
  if (!schema) return { "@type": typeUrl, value: Buffer.from(value).toString("base64") };
  return envoyJson(schema, fromBinary(schema, value), protoNames);
}

function typesFirst(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(typesFirst);
  const { "@type": type, ...rest } = value;
  const entries = Object.entries(rest).map(([key, item]) => [key, typesFirst(item)] as const);
  return Object.fromEntries(type === undefined ? entries : [["@type", type] as const, ...entries]);
}
