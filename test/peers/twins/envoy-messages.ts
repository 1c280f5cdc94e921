import {
  createRegistry,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  toBinary,
} from "@bufbuild/protobuf";
import { file_google_protobuf_struct, file_google_protobuf_wrappers } from "@bufbuild/protobuf/wkt";
import { FilterConfigSchema } from "../../../src/gen/envoy/config/route/v3/route_components_pb.ts";
import { file_envoy_extensions_access_loggers_file_v3_file } from "../../../src/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import { file_envoy_extensions_access_loggers_stream_v3_stream } from "../../../src/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts";
import { file_envoy_extensions_filters_http_composite_v3_composite } from "../../../src/gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { file_envoy_extensions_filters_http_cors_v3_cors } from "../../../src/gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { file_envoy_extensions_filters_http_fault_v3_fault } from "../../../src/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { file_envoy_extensions_filters_http_filter_chain_v3_filter_chain } from "../../../src/gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { file_envoy_extensions_filters_http_local_ratelimit_v3_local_rate_limit } from "../../../src/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { file_envoy_extensions_filters_http_rbac_v3_rbac } from "../../../src/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { file_envoy_extensions_filters_http_router_v3_router } from "../../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { file_envoy_extensions_filters_http_wasm_v3_wasm } from "../../../src/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager } from "../../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { file_envoy_extensions_upstreams_http_v3_http_protocol_options } from "../../../src/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { rawResource, type SnapshotResource } from "../../../src/xds/snapshot.ts";

const registry = createRegistry(
  FilterConfigSchema,
  file_google_protobuf_struct,
  file_google_protobuf_wrappers,
  file_envoy_extensions_access_loggers_file_v3_file,
  file_envoy_extensions_access_loggers_stream_v3_stream,
  file_envoy_extensions_filters_http_composite_v3_composite,
  file_envoy_extensions_filters_http_cors_v3_cors,
  file_envoy_extensions_filters_http_fault_v3_fault,
  file_envoy_extensions_filters_http_filter_chain_v3_filter_chain,
  file_envoy_extensions_filters_http_local_ratelimit_v3_local_rate_limit,
  file_envoy_extensions_filters_http_rbac_v3_rbac,
  file_envoy_extensions_filters_http_router_v3_router,
  file_envoy_extensions_filters_http_wasm_v3_wasm,
  file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager,
  file_envoy_extensions_upstreams_http_v3_http_protocol_options,
);

/** A resource of xDS from Envoy's JSON, as a server would send it. */
export function resourceOf(schema: DescMessage, json: JsonValue): SnapshotResource {
  const { name } = json as JsonObject;
  const bytes = toBinary(schema, fromJson(schema, json, { registry }));
  return rawResource(String(name), `type.googleapis.com/${schema.typeName}`, bytes);
}
